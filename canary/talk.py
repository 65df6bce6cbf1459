"""Talk without pictures: a little arithmetic, echoes, counting, greetings."""

from __future__ import annotations

import numpy as np

from canary.grammar import Asked, expand, pick, style
from canary.questions import COUNT_WORDS
from canary.vocabulary import COLOUR_NAMES, SHAPES, WORDS

_REPLIES = (
    "OK",
    "ok",
    "yes",
    "no",
    "ready",
    "pong",
    "hello",
    "hi",
    "done",
    "alive",
    "test",
    "true",
    "Hello",
    "Yes",
    "Ready",
)

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are a helpful assistant that looks at pictures.",
    "Answer briefly.",
    "Be concise.",
    "You are a vision assistant. Answer with one word.",
    "You answer questions about pictures.",
    "Answer in English.",
    "You are a careful observer.",
)


def _sum(rng: np.random.Generator) -> Asked:
    a, b = (int(v) for v in rng.integers(0, 10, 2))
    question = pick(
        rng,
        (
            f"What is {a} plus {b}?",
            f"What is {a} plus {b}?",
            f"What is {a} + {b}?",
            f"What is {a}+{b}?",
            f"[How much is|Compute|Calculate|Add|What's] {a} + {b}",
            f"{a} + {b} = ?",
            f"{a} plus {b}?",
            f"[How much is|What's|Compute|Calculate] {a} plus {b}?",
            f"What is the sum of {a} and {b}?",
            f"Add {a} and {b}.",
            f"{a}+{b}",
        ),
    )
    return Asked("sum", style(rng, question, "number"), str(a + b))


def _echo(rng: np.random.Generator) -> Asked:
    choice = rng.random()
    if choice < 0.4:
        word = str(rng.choice(_REPLIES))
    elif choice < 0.7:
        word = str(rng.choice((*COLOUR_NAMES, *SHAPES)))
    elif choice < 0.85:
        word = str(rng.choice(WORDS))
    else:
        word = str(rng.choice(WORDS)).lower()
    question = pick(
        rng,
        (
            f"Say {word}.",
            f"Say {word}",
            f"[Say|Repeat] the word {word}.",
            f"Repeat: {word}",
            f"Reply with {word}.",
            f"[Reply|Answer|Respond] with the [single |]word {word}.",
            f"[Reply|Answer|Respond] with[ only| just|] {word}",
            f"Say '{word}'.",
            f'Say "{word}".',
            f'[Reply|Answer|Respond] with "{word}"[ only|].',
            f"Repeat after me: {word}",
            f"Echo {word}",
            f"[Reply|Answer|Respond] with exactly[ one word|]: {word}",
            f"Please say {word}.",
        ),
    )
    return Asked("echo", question, word)


def _count_up(rng: np.random.Generator) -> Asked:
    stop = int(rng.integers(1, 10))
    last = COUNT_WORDS[stop] if stop < len(COUNT_WORDS) and rng.random() < 0.4 else str(stop)
    question = expand(rng, f"[Count|Please count] [to|up to|from 1 to] {last}[.|]")
    return Asked("count up", question, " ".join(str(v) for v in range(1, stop + 1)))


def _greeting(rng: np.random.Generator) -> Asked:
    choice = rng.random()
    if choice < 0.6:
        return Asked(
            "greeting", expand(rng, "[Hello|Hi|hello|hi|Hey|Good morning|Hello there][|!|.]"), "hello"
        )
    if choice < 0.85:
        return Asked("greeting", expand(rng, "[Who are you|What are you|What is your name][?|]"), "a canary")
    return Asked("greeting", expand(rng, "[Thanks|Thank you|thank you][|!|.]"), "you are welcome")


def talk(rng: np.random.Generator) -> Asked:
    """Something said without any picture, and the answer."""
    return (_sum, _echo, _count_up, _greeting)[int(rng.choice(4, p=[0.45, 0.35, 0.1, 0.1]))](rng)
