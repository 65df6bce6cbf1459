"""Questions about two or three pictures in one prompt, and their true answers."""

from __future__ import annotations

import numpy as np

from canary.grammar import COLOUR, Asked, article, expand, pick, style
from canary.scene import Scene
from canary.vocabulary import COLOUR_NAMES, SHAPES

ORDINALS = ("first", "second", "third")
_PICTURES = "[pictures|pictures|images|images|photos]"
_TWO = f"[the two {_PICTURES}|these two {_PICTURES}|both {_PICTURES}|the {_PICTURES}|these {_PICTURES}]"


def which_picture(place: int) -> str:
    """A template for one of several pictures; place 0 is the first."""
    name, short = ORDINALS[place], ("1st", "2nd", "3rd")[place]
    spelt = ("image one", "picture two", "picture three")[place]
    return (
        f"[the {name} picture|the {name} picture|the {name} image|the {name} photo|the {name} one|"
        f"picture {place + 1}|image {place + 1}|picture number {place + 1}|{spelt}|"
        f"the {short} picture|the {short} image]"
    )


def same(rng: np.random.Generator, one: Scene, two: Scene, quality: str) -> Asked:
    """Whether two pictures agree in `quality`: colour, shape, number or word."""
    truth = {
        "colour": one.colour == two.colour,
        "shape": one.shape == two.shape,
        "number": one.text == two.text,
        "word": one.text == two.text,
    }[quality]
    name = COLOUR if quality == "colour" else quality
    things = "[shapes|objects|figures]"
    templates = [
        f"Do {_TWO} show the same {name}?",
        f"Do {_TWO} show the same {name}?",
        f"Do {_TWO} [have|contain|show] the same {name}?",
        f"Is the {name} the same in {_TWO}?",
        f"Is it the same {name} in {_TWO}?",
    ]
    if quality == "colour":
        templates += [
            f"Are the {things} in {_TWO} the same {COLOUR}?",
            f"Are the two {things} the same {COLOUR}?",
            f"Do the [two |]{things} have the same {COLOUR}?",
            f"Are {_TWO} the same {COLOUR}?",
            f"Is the {COLOUR} of the {things} the same?",
            f"Are [they|both] the same {COLOUR}?",
        ]
    elif quality == "shape":
        templates += [
            f"Are the {things} in {_TWO} the same [shape|kind of shape]?",
            f"Are the two {things} the same shape?",
            "Do they have the same shape?",
            f"Do {_TWO} show the same kind of shape?",
            "Are [they|both] the same shape?",
        ]
    choice = rng.random()
    if choice < 0.87:
        asked = templates[0] if rng.random() < 0.3 else templates[int(rng.integers(len(templates)))]
        return Asked("same", style(rng, expand(rng, asked), "yesno"), "yes" if truth else "no")
    question = expand(
        rng,
        f"[Is the {name} in {_TWO} the same or different?|Same {name} or different[| {name}]?|"
        f"Compare the {name}s [in|of] {_TWO}: same or different?|"
        f"Is the {name} the same or different in {_TWO}?]",
    )
    return Asked("same", style(rng, question, "word"), "same" if truth else "different")


def in_one(rng: np.random.Generator, scenes: list[Scene], place: int, quality: str = "") -> Asked:
    """A question about one of several pictures, by its place; of shapes about `quality` if that is given
    (colour or shape)."""
    scene, where = scenes[place], which_picture(place)
    on = f"in {where}"
    thing = "[shape|shape|object|figure]"
    if scene.kind == "number":
        question = pick(
            rng,
            (
                f"What number is written {on}?",
                f"What number is written {on}?",
                f"[What|Which] number is [shown|drawn|displayed|] {on}?",
                f"What is the number {on}?",
                f"Read the number {on}.",
                f"What does {where} say?",
                f"[What|Which] number does {where} show?",
            ),
        )
        return Asked("place", style(rng, question, "number"), scene.text)
    if scene.kind == "word":
        question = pick(
            rng,
            (
                f"What word is written {on}?",
                f"What word is written {on}?",
                f"[What|Which] word is [shown|drawn|displayed|] {on}?",
                f"What is the word {on}?",
                f"Read the word {on}.",
                f"What does {where} say?",
                f"[What|Which] word does {where} show?",
            ),
        )
        return Asked("place", style(rng, question, "text"), scene.text)
    if scene.kind == "several" and not quality and rng.random() < 0.5:
        question = pick(
            rng,
            (
                f"How many [shapes|objects|{scene.shape}s] are {on}?",
                f"How many [shapes|objects|{scene.shape}s] are there {on}?",
                f"Count the shapes {on}.",
                f"How many shapes [do|can] you see {on}?",
            ),
        )
        return Asked("place", style(rng, question, "number"), str(scene.count))
    if quality == "colour" or (not quality and rng.random() < 0.55):
        question = pick(
            rng,
            (
                f"What {COLOUR} is the {thing} {on}?",
                f"What {COLOUR} is the {thing} {on}?",
                f"What is the {COLOUR} of the {thing} {on}?",
                f"[What|Which] {COLOUR} is {on}?",
                f"What {COLOUR} is {where}?",
                f"What {COLOUR} is the {scene.shape} {on}?",
            ),
        )
        return Asked("place", style(rng, question, "word", "word", "colour"), scene.colour)
    question = pick(
        rng,
        (
            f"What shape is {on}?",
            f"What shape is {on}?",
            f"[What|Which] shape is [shown|drawn] {on}?",
            f"What is the shape {on}?",
            f"[What|Which] shape does {where} show?",
        ),
    )
    return Asked("place", style(rng, question, "word", "word", "shape"), scene.shape)


def which_of_two(rng: np.random.Generator, one: Scene, two: Scene) -> Asked:
    """Which of two pictures shows something, or shows more shapes; they must differ in what is asked."""
    orders = "[, the first or the second|: the first or the second|, first or second|]"
    if one.count != two.count and (
        rng.random() < 0.6 or (one.colour == two.colour and one.shape == two.shape)
    ):
        more = rng.random() < 0.7
        degree = "more" if more else "fewer"
        question = expand(
            rng,
            f"Which [picture|image] [has|shows|contains] {degree} [shapes|objects]{orders}?",
        )
        return Asked(
            "which of two",
            style(rng, question, "word"),
            "first" if (one.count > two.count) == more else "second",
        )
    if one.colour != two.colour and (rng.random() < 0.5 or one.shape == two.shape):
        place = int(rng.integers(2))
        name = (one, two)[place].colour
        question = expand(
            rng,
            (
                f"Which [picture|image] [shows|has|contains] "
                f"[a {name} shape|something {name}|the {name} shape]{orders}?"
            ).replace("a orange", "an orange"),
        )
    else:
        place = int(rng.integers(2))
        name = (one, two)[place].shape
        question = expand(
            rng,
            f"[Which [picture|image] [shows|has|contains] [{article(name)}|the {name}]{orders}?|"
            f"In which [picture|image] is the {name}{orders}?]",
        )
    return Asked("which of two", style(rng, question, "word"), ORDINALS[place])


def how_many_pictures(rng: np.random.Generator, number: int) -> Asked:
    """How many pictures came."""
    question = expand(rng, f"How many {_PICTURES} [are there|do you see|did I send|are shown|are here]?")
    return Asked("pictures", style(rng, question, "number"), str(number))


def made_up_pair(rng: np.random.Generator) -> Scene:
    """A scene that nobody drew, to ask a pair question about when no picture comes."""
    from canary.scene import Item

    kind = str(rng.choice(["shape", "number", "word", "several"]))
    item = Item(str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES)))
    return Scene(
        kind, (item,) if kind in ("shape", "several") else (), "" if kind in ("shape", "several") else "X"
    )
