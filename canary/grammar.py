"""A small grammar of how people ask: alternatives in brackets, instructions, and careless typing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PICTURE = "[picture|picture|image|image|photo]"
COLOUR = "[colour|color]"
IN = f"[in|on] [the|this] {PICTURE}"


@dataclass(frozen=True)
class Asked:
    """A question, its answer, the task it belongs to and whether it depends on the colour of text."""

    task: str
    question: str
    answer: str
    text_colour: bool = False


_INNER = re.compile(r"\[([^\[\]]*)\]")

INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "word": (
        "Answer with one word.",
        "Answer with one word.",
        "Answer with one word.",
        "Answer in one word.",
        "[Use|Reply with|Respond with|Give] [one|a single|exactly one|just one] word[| only|, please].",
        "One word[| only|, please].",
        "[Answer|Reply|Respond] with [only|just] [one|a single] word.",
        "[Answer|Reply] with one word[, in lower case| in lowercase|, nothing else].",
        "Answer with exactly one word[| and nothing else].",
        "Keep it to one word.",
    ),
    "colour": (
        f"[Answer|Reply|Respond] with [only|just] the {COLOUR}[| name|, nothing else].",
        f"Just the {COLOUR}[| name][|, please].",
        f"Name [only|just] the {COLOUR}.",
        f"Give [only|just] the {COLOUR}[| name].",
    ),
    "shape": (
        "[Answer|Reply|Respond] with [only|just] the [shape|name of the shape].",
        "Just the [shape|name][|, please].",
        "Name [only|just] the shape.",
        "Give [only|just] the [shape|name].",
    ),
    "number": (
        "Answer with a number.",
        "Answer with a number.",
        "Answer with the digits only.",
        "Reply with the number only.",
        "[Answer|Reply|Respond] with [only|just] [the|a] number[|, nothing else].",
        "[Just|Only] the [number|digits][|, please].",
        "Digits only[|, please].",
        "[Answer|Reply|Respond] with [the digits|the number|digits|a digit|a single number][| only].",
        "Answer with [just the digits|a single digit|digits].",
        "Give [only|just] the [number|digits].",
    ),
    "text": (
        "Answer with the word only.",
        "Answer with the word only.",
        "[Answer|Reply|Respond] with [only|just] [the|that] word[|, nothing else].",
        "[Just|Only] the [word|text][|, please].",
        "[Answer|Reply] with the [word|text] only.",
        "Give [only|just] the [word|text].",
        "Answer with one word.",
    ),
    "yesno": (
        "Answer yes or no.",
        "Answer yes or no.",
        "Answer with yes or no.",
        "Yes or no?",
        "[Answer|Reply|Respond] [only |just |][with |][yes or no|'yes' or 'no'].",
        "[Reply|Respond] with yes or no[| only].",
    ),
}


@lru_cache(maxsize=50_000)
def _alternatives(inside: str) -> tuple[str, ...]:
    return tuple(inside.split("|"))


def expand(rng: np.random.Generator, template: str) -> str:
    """A template with one alternative taken of every `[a|b|c]`, innermost first."""

    def take(match: re.Match[str]) -> str:
        options = _alternatives(match.group(1))
        return options[int(rng.random() * len(options))]

    while "[" in template:
        template = _INNER.sub(take, template)
    return re.sub(r" +", " ", template).strip()


def pick(rng: np.random.Generator, templates: tuple[str, ...]) -> str:
    """One of the templates, expanded."""
    return expand(rng, templates[int(rng.random() * len(templates))])


def article(noun: str) -> str:
    """The noun or adjective with `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def style(rng: np.random.Generator, question: str, *instructions: str, always: bool = False) -> str:
    """The question as somebody types it: with one of the named kinds of instruction two times in three
    (or `always`), now and then without its question mark, in lower case, or with a courtesy."""
    dice = rng.random(4)
    if dice[0] < 0.08 and question.endswith("?"):
        question = question[:-1]
    if dice[1] < 0.05:
        courtesy = (
            "Please tell me: ",
            "Look at the picture. ",
            "Look closely. ",
            "Tell me, ",
            "Question: ",
            "Hi! ",
        )
        lead = courtesy[int(rng.integers(len(courtesy)))]
        question = lead + (question[0].lower() + question[1:] if lead.endswith(", ") else question)
    if instructions and (always or dice[2] < 0.68):
        pool = INSTRUCTIONS[instructions[int(rng.integers(len(instructions)))]]
        instruction = pick(rng, pool)
        if rng.random() < 0.05:
            question = f"{instruction} {question}"
        else:
            question = f"{question}{(' ', ' ', ' ', ' ', chr(10))[int(rng.integers(5))]}{instruction}"
    if dice[3] < 0.06:
        question = question.lower()
    return question
