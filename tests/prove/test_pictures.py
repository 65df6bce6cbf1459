"""Pictures show what they claim to show; questions are asked about them with the right answers."""

from __future__ import annotations

import io
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image, ImageChops

from canary.vocabulary import WORDS as LEARNT
from sightline.prove import draw
from sightline.prove.cases import KINDS, QUESTIONS, Case, ask_about_pair, deal, shares
from sightline.prove.draw import SIDE, Picture
from sightline.prove.vocabulary import COLOURS, SHAPES, WORDS


def pixels(picture: Picture) -> Image.Image:
    """The decoded picture."""
    image = Image.open(io.BytesIO(picture.png))
    assert image.size == (SIDE, SIDE)
    return image.convert("RGB")


def blobs(picture: Picture) -> int:
    """How many connected areas are not background, found by flooding the picture at a quarter of its size."""
    image = pixels(picture).reduce(4)
    backdrop = Image.new("RGB", image.size, image.getpixel((0, 0)))
    mask = ImageChops.difference(image, backdrop).convert("L").point(lambda level: 255 if level > 30 else 0)
    ink = {(x, y) for x in range(mask.width) for y in range(mask.height) if mask.getpixel((x, y))}
    found = 0
    while ink:
        stack = [ink.pop()]
        found += 1
        while stack:
            x, y = stack.pop()
            near = ink & {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
            ink -= near
            stack += near
    return found


def nearest(rgb: Any) -> str:
    """The colour term whose value is nearest in RGB."""
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], rgb, strict=True)))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_single_shape_has_its_colour_and_stands_off_its_background(colour: str, shape: str) -> None:
    picture = draw.single_shape(random.Random(f"{colour}{shape}"), colour, shape)
    image: Any = pixels(picture)
    shades = {shade for count, shade in image.getcolors(SIDE * SIDE) or [] if count > 2000}
    background = image.getpixel((0, 0))
    assert background in shades
    (fill,) = shades - {background}
    assert nearest(fill) == colour
    assert sum(abs(a - b) for a, b in zip(fill, background, strict=True)) > 90
    assert (picture.colour, picture.shape, picture.count) == (colour, shape, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_counted_shapes_do_not_touch(count: int, seed: int) -> None:
    picture = draw.several_shapes(random.Random(seed), "blue", random.Random(seed).choice(SHAPES), count)
    assert blobs(picture) == count


def test_shapes_of_one_name_are_alike_and_of_two_names_differ() -> None:
    """Share of its box that a shape fills; a rectangle's, diamond's ... own, whatever its size."""
    filled = {}
    for shape in SHAPES:
        shares_filled = []
        for seed in range(3):
            image = (
                pixels(draw.single_shape(random.Random(seed), "black", shape))
                .convert("L")
                .point(lambda level: 255 if level < 100 else 0)
            )
            left, top, right, bottom = image.getbbox() or (0, 0, 1, 1)
            ink = image.histogram()[255]
            side = max(right - left, bottom - top)
            shares_filled.append(ink / side**2)
        assert max(shares_filled) - min(shares_filled) < 0.03
        filled[shape] = sum(shares_filled) / 3
    ordered = sorted(filled.values())
    assert all(later - earlier > 0.03 for earlier, later in pairwise(ordered)), filled


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_numbers_are_large_and_whole(digits: int) -> None:
    for seed in range(10):
        picture = draw.number(random.Random(seed), digits)
        assert len(picture.text or "") == digits
        assert (picture.text or "0")[0] != "0"
        check_written(picture)


@pytest.mark.parametrize("word", ["SALT", "HARBOR", "OLIVE"])
def test_words_are_large_and_whole(word: str) -> None:
    for seed in range(5):
        check_written(draw.word(random.Random(seed), word))


@pytest.mark.parametrize("word", ["SUMMER", "OLIVE", "SALT"])
def test_letters_of_long_words_are_as_wide_as_those_of_short_ones(word: str) -> None:
    """An encoder of 112 px then has 14 px for each: narrower ones are misread by models that do see."""
    for seed in range(20):
        left, _, right, _ = ink_box(draw.word(random.Random(seed), word))
        assert (right - left) / len(word) >= SIDE / 8


def ink_box(picture: Picture) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of all that is not background, in pixels."""
    image = pixels(picture)
    backdrop = Image.new("RGB", image.size, image.getpixel((0, 0)))
    ink = Image.eval(image.convert("L"), lambda level: level)
    box = (
        ImageChops.difference(ink, backdrop.convert("L"))
        .point(lambda level: 255 if level > 40 else 0)
        .getbbox()
    )
    assert box is not None
    return box


def check_written(picture: Picture) -> None:
    """The ink keeps clear of the edges and is at least 10% of the side high."""
    left, top, right, bottom = ink_box(picture)
    assert min(left, top) > 5
    assert max(right, bottom) < SIDE - 5
    assert bottom - top > SIDE * 0.10
    assert right - left > SIDE * 0.3


def test_blank_is_white() -> None:
    assert pixels(draw.blank()).getcolors() == [(SIDE * SIDE, (255, 255, 255))]


def test_a_seed_repeats_a_deck_and_another_does_not() -> None:
    decks = [[case.pictures for case in deal(random.Random(seed), shares(20))] for seed in (1, 1, 2)]
    assert decks[0] == decks[1]
    assert decks[0] != decks[2]


@pytest.mark.parametrize("total", [18, 20, 40, 41, 100])
def test_every_kind_gets_its_share(total: int) -> None:
    counts = shares(total)
    assert sum(counts.values()) == total
    assert min(counts.values()) >= 2
    assert counts["colour"] == max(counts.values())


def test_default_shares_are_the_documented_ones() -> None:
    assert shares(40) == KINDS


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 18"):
        shares(17)


def test_swapped_channels_can_not_hide() -> None:
    """Every deck asks about red and blue twice each."""
    for seed in range(5):
        asked = Counter(case.expected.value for case in deal(random.Random(seed), {"colour": 8}))
        assert asked["red"] >= 2
        assert asked["blue"] >= 2


def test_words_and_numbers_are_not_repeated_soon() -> None:
    deck = deal(random.Random(3), {"word": 12, "number": 12})
    assert len({case.expected.value for case in deck}) >= 23


def test_yes_and_no_are_both_expected() -> None:
    deck = [case for seed in range(20) for case in deal(random.Random(seed), {"pair": 5})]
    answers = Counter(case.expected.value for case in deck if case.expected.form == "yes-no")
    assert 0.3 < answers["yes"] / sum(answers.values()) < 0.7


@pytest.mark.parametrize(
    ("question", "value"),
    [("number first", "12"), ("number second", "345")],
)
def test_pair_questions_expect_the_picture_they_name(question: str, value: str) -> None:
    rng = random.Random(0)
    one, other = (Picture(draw.number(rng, 2).png, "", text=text) for text in ("12", "345"))
    assert ask_about_pair(question, one, other).expected.value == value


def test_every_question_is_asked_and_every_word_is_short() -> None:
    deck: list[Case] = deal(random.Random(0), shares(100))
    assert {case.question for case in deck} == set(QUESTIONS.values()) - {QUESTIONS["colour"]} | {
        QUESTIONS["colour"]
    }
    assert len(WORDS) == len(set(WORDS))
    assert all(3 <= len(word) <= 6 and word.isupper() for word in WORDS)


def test_the_canary_learns_every_word_that_is_asked() -> None:
    """Which words are drawn is no secret that the proof rests on; which one is drawn now is."""
    assert set(WORDS) <= set(LEARNT)
