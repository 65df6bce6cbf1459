"""Questions about one picture and their true answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from canary.grammar import COLOUR, IN, PICTURE, Asked, article, expand, pick, style
from canary.reading import number, text, word
from canary.scene import Scene
from canary.vocabulary import COLOUR_NAMES, NOTHING, SHAPES

COUNT_WORDS = ("no", "one", "two", "three", "four")
_THING = "[shape|shape|object|figure|thing]"


def _colour_question(rng: np.random.Generator, noun: str) -> str:
    return pick(
        rng,
        (
            f"What {COLOUR} is the {noun}?",
            f"What {COLOUR} is the {noun}?",
            f"What {COLOUR} is [the|this] {noun}[| {IN}]?",
            f"What is the {COLOUR} of [the|this] {noun}[| {IN}]?",
            f"[Which|What] {COLOUR} does the {noun} [have|{IN} have]?",
            f"[Which|What] {COLOUR} is the {noun} [shown|{IN}|you see]?",
            f"[Tell me|Name|State|Give|Identify] the {COLOUR} of the {noun}[| {IN}].",
            f"[Which|What] {COLOUR} do you see[| {IN}]?",
            f"{COLOUR} of the {noun}?".replace(COLOUR, "[Colour|Color]", 1),
            f"What {COLOUR} is it?",
            f"{IN.replace('[in|on]', 'In', 1)}, what {COLOUR} is the {noun}?",
            f"[What|Which] {COLOUR}?",
            f"The {noun} {IN} is [what|which] {COLOUR}?",
            f"What's the {COLOUR} of the {noun}?",
            f"What {COLOUR} are the {noun}s[| {IN}]?",
        ),
    )


def _options(rng: np.random.Generator, names: tuple[str, ...], right: str) -> str:
    others = [name for name in rng.permutation(names) if name != right][: int(rng.integers(1, 6))]
    listed = [str(name) for name in rng.permutation([*others, right])]
    return expand(rng, f"[Choose from|Answer with one of|Options|Pick one]: {', '.join(listed)}.")


def colour(rng: np.random.Generator, scene: Scene) -> Asked:
    """The colour of what is shown."""
    noun = scene.shape if scene.shape and rng.random() < 0.3 else expand(rng, _THING)
    if scene.text:
        noun = expand(rng, f"[text|writing|{scene.kind}|{scene.kind}]")
    question = _colour_question(rng, noun)
    answer = scene.colour or NOTHING
    if rng.random() < 0.06 and scene.items:
        return Asked("colour", f"{question} {_options(rng, COLOUR_NAMES, answer)}", answer)
    return Asked("colour", style(rng, question, "word", "word", "colour"), answer, bool(scene.text))


def shape(rng: np.random.Generator, scene: Scene) -> Asked:
    """The shape of what is shown."""
    question = pick(
        rng,
        (
            f"What shape is {IN}?",
            f"What shape is {IN}?",
            "[What|Which] [shape|geometric shape|geometric figure|figure] is "
            f"[this|that|it|shown|drawn|{IN}|shown {IN}]?",
            f"[What|Which] [shape|figure] do you see[| {IN}]?",
            "What [kind|type|sort] of shape is [this|it|shown|drawn]?",
            f"What is the shape {IN}?",
            f"What is the shape of the [object|figure|thing][| {IN}]?",
            f"[Name|Identify|State|Tell me] the shape[| {IN}].",
            "What shape does the [object|figure] have?",
            "What shape is the [object|figure|thing]?",
            f"[Which|What] shape does [the|this] {PICTURE} show?",
            "What shape?",
            "What's the shape?",
            "[Name of the shape|Which shape]?",
            f"What [shape|kind of shape] [appears|can be seen] {IN}?",
            "Is it a circle, a square, a triangle, a rectangle, a star or a diamond?",
            f"What shape [is|has] the {scene.colour or 'red'} [object|figure|thing|one]?",
        ),
    )
    answer = scene.shape or NOTHING
    if rng.random() < 0.06 and scene.items:
        return Asked("shape", f"{question} {_options(rng, SHAPES, answer)}", answer)
    return Asked("shape", style(rng, question, "word", "word", "shape"), answer)


def count(rng: np.random.Generator, scene: Scene) -> Asked:
    """How many shapes there are: digits, or a word where it is asked for."""
    name, answer = expand(rng, "[shapes|shapes|shapes|objects|figures|things]"), str(scene.count)
    if rng.random() < 0.3 and scene.items:
        kind = str(rng.choice(SHAPES)) if rng.random() < 0.15 else scene.items[0].shape
        name, answer = f"{kind}s", str(sum(item.shape == kind for item in scene.items))
        if scene.colour and rng.random() < 0.3:
            name = f"{scene.colour} {name}"
    question = pick(
        rng,
        (
            f"How many {name} are {IN}?",
            f"How many {name} are {IN}?",
            f"How many {name} are there[| {IN}]?",
            f"How many {name} [can you|do you] see[| {IN}]?",
            f"Count the {name}[| {IN}].",
            f"What is the number of {name}[| {IN}]?",
            f"How many {name}?",
            f"How many {name} does [the|this] {PICTURE} [show|have|contain]?",
            f"How many {name} [are shown|are drawn|are visible|can be seen][| {IN}]?",
            f"[Tell me|Say] how many {name} [there are|you see].",
            f"{IN.replace('[in|on]', 'In', 1)}, how many {name} are there?",
            f"What's the number of {name}?",
        ),
    )
    return Asked("count", style(rng, question, "number"), answer)


def _phrase(scene: Scene) -> str:
    if scene.text:
        return f"the {scene.kind} {scene.text}"
    if len(scene.items) > 1 and scene.colour and scene.shape:
        return f"{COUNT_WORDS[scene.count]} {scene.colour} {scene.shape}s"
    parts = [article(f"{item.colour} {item.shape}") for item in scene.items]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or NOTHING


def content(rng: np.random.Generator, scene: Scene) -> Asked:
    """What is in the picture, in a phrase, or in one word where that is asked for."""
    question = pick(
        rng,
        (
            f"What is {IN}?",
            f"What is {IN}?",
            f"What [can you|do you] see[| {IN}]?",
            f"What does [the|this] {PICTURE} [show|contain]?",
            f"What is [shown|drawn|depicted][| {IN}]?",
            f"[Describe|Describe|Caption] [the|this] {PICTURE}.",
            "What is this?",
            "What's this?",
            f"What's {IN}?",
            f"Tell me what is {IN}.",
            f"What [appears|is visible] {IN}?",
            "Describe what you see.",
        ),
    )
    if scene.kind != "mixed" and rng.random() < (0.7 if scene.kind == "empty" else 0.35):
        plural = "s" if scene.count > 1 else ""
        return Asked(
            "content",
            style(rng, question, "word", always=True),
            scene.text or (scene.shape or NOTHING) + plural * bool(scene.shape),
        )
    return Asked("content", style(rng, question), _phrase(scene))


def as_json(rng: np.random.Generator, scene: Scene) -> Asked:
    """Colour and shape as JSON with exactly these keys."""
    question = pick(
        rng,
        (
            "Describe the [shape|shape|object|figure] as JSON with the keys color and shape.",
            "Describe the shape as JSON with the keys color and shape.",
            f"[Describe|Give|Return] the [shape|object|figure] {IN} as JSON with "
            "[the |][keys|fields] color and shape.",
            "[Answer|Reply|Respond] [as|in|with] JSON with the keys color and shape.",
            'Return JSON with the keys "color" and "shape"[| for the shape].',
            "Return a JSON object with [the |]keys color and shape.",
            f"What is {IN}? [Answer|Reply] [as|in] JSON with the keys color and shape.",
        ),
    )
    return Asked("json", style(rng, question), json.dumps({"color": scene.colour, "shape": scene.shape}))


def yes_or_no(rng: np.random.Generator, scene: Scene) -> Asked:
    """Whether there is something of a colour or a shape, or any writing."""
    shapes, colours = {item.shape for item in scene.items}, {item.colour for item in scene.items}
    choice = rng.random()
    if choice < 0.45 or not scene.items:
        name = str(rng.choice(sorted(shapes))) if shapes and rng.random() < 0.5 else str(rng.choice(SHAPES))
        question, truth = f"Is [there|this] {article(name)}[| {IN}]?", name in shapes
        if scene.kind == "shape" and rng.random() < 0.4:
            question = f"Is [the shape|it] {article(name)}?"
    elif choice < 0.9:
        name = str(rng.choice(sorted(colours))) if rng.random() < 0.5 else str(rng.choice(COLOUR_NAMES))
        question, truth = (
            f"[Is there anything|Is something|Is any shape|Do you see anything] {name}[| {IN}]?",
            name in colours,
        )
        if scene.kind == "shape" and rng.random() < 0.6:
            noun = scene.shape if rng.random() < 0.3 else "[shape|object]"
            question = f"Is [the {noun}|it] {name}?"
    else:
        question, truth = f"Is there [any |]text {IN}?", bool(scene.text)
    return Asked("yesno", style(rng, expand(rng, question), "yesno"), "yes" if truth else "no")


def which(rng: np.random.Generator, scene: Scene) -> Asked:
    """Of several that differ: the colour of one shape, or the shape that has one colour."""
    item = scene.items[int(rng.integers(len(scene.items)))]
    if rng.random() < 0.6:
        question = expand(rng, f"What [{COLOUR} is|is the {COLOUR} of] the {item.shape}[| {IN}]?")
        return Asked("which", style(rng, question, "word", "colour"), item.colour)
    question = pick(
        rng,
        (
            f"[What|Which] shape is {item.colour}?",
            f"What is the {item.colour} [shape|figure|object]?",
            f"What shape is the {item.colour} [one|object|figure]?",
        ),
    )
    return Asked("which", style(rng, question, "word", "shape"), item.shape)


Asker = Callable[[np.random.Generator, Scene], Asked]

_TASKS: dict[str, tuple[tuple[Asker, ...], tuple[float, ...]]] = {
    "empty": (
        (content, colour, shape, count, number, word, text, yes_or_no),
        (0.38, 0.12, 0.1, 0.08, 0.1, 0.1, 0.06, 0.06),
    ),
    "shape": (
        (colour, shape, content, as_json, yes_or_no, count, number, word),
        (0.31, 0.29, 0.11, 0.09, 0.08, 0.08, 0.02, 0.02),
    ),
    "several": ((count, colour, shape, content, yes_or_no), (0.6, 0.12, 0.12, 0.1, 0.06)),
    "mixed": ((count, which, content, yes_or_no), (0.35, 0.4, 0.13, 0.12)),
    "number": (
        (number, text, content, colour, count, shape, word, yes_or_no),
        (0.68, 0.13, 0.08, 0.05, 0.02, 0.02, 0.01, 0.01),
    ),
    "word": (
        (word, text, content, colour, count, shape, number, yes_or_no),
        (0.68, 0.13, 0.08, 0.05, 0.02, 0.02, 0.01, 0.01),
    ),
}


def ask(rng: np.random.Generator, scene: Scene) -> Asked:
    """A question of a random task that suits the scene, and its answer."""
    tasks, shares = _TASKS[scene.kind]
    return tasks[int(rng.choice(len(tasks), p=shares))](rng, scene)


def follow_up(rng: np.random.Generator, scene: Scene) -> Asked:
    """A question of a later turn: it leans on what was said before (`it`, `And ...`)."""
    asked = ask(rng, scene)
    short = {
        "colour": (
            f"And what {COLOUR} is it?",
            f"And the {COLOUR}?",
            f"What {COLOUR} is it?",
            f"And what {COLOUR} is the shape?",
            f"What about [its|the] {COLOUR}?",
        ),
        "shape": (
            "And what shape is it?",
            "And what shape is it?",
            "And the shape?",
            "What shape is it?",
            "What about [its|the] shape?",
        ),
        "count": (
            "And how many are there?",
            "How many are there?",
            "And how many shapes are there?",
            "How many of them are there?",
        ),
        "text": ("And what does it say?", "And what is written?"),
    }.get(asked.task)
    if asked.task == "count" and asked.answer != str(scene.count):
        short = None
    if short and rng.random() < 0.55:
        kinds = {
            "colour": ("word", "colour"),
            "shape": ("word", "shape"),
            "count": ("number",),
            "text": ("text",),
        }[asked.task]
        return Asked(asked.task, style(rng, pick(rng, short), *kinds), asked.answer, asked.text_colour)
    if rng.random() < 0.25:
        return Asked(
            asked.task,
            f"And {asked.question[0].lower()}{asked.question[1:]}",
            asked.answer,
            asked.text_colour,
        )
    return asked
