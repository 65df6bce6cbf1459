"""The judge: strict about what an answer says, patient about how it says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.prove.cases import Expected, Form
from sightline.prove.judge import content_of, judge, says_no_picture
from sightline.prove.numerals import numbers_in
from sightline.prove.vocabulary import COLOURS, WORDS

RIGHT: list[tuple[Form, str, str]] = [
    ("colour", "red", "red"),
    ("colour", "red", "Red."),
    ("colour", "red", "The shape is **red**."),
    ("colour", "red", "The circle is red, on a white background."),
    ("colour", "red", "It is a bright red star against a light blue background."),
    ("colour", "gray", "Grey"),
    ("colour", "gray", "The colour is grey (gray)."),
    ("colour", "purple", "violet"),
    ("colour", "white", "The shape is white, on a dark gray background"),
    ("shape", "circle", "Circle"),
    ("shape", "circle", "The picture shows a red circle."),
    ("shape", "diamond", "It's a rhombus (diamond)."),
    ("shape", "star", "A five-pointed star!"),
    ("shape", "rectangle", "rectangles"),
    ("count", "3", "3"),
    ("count", "3", "Three."),
    ("count", "3", "There are three stars in the picture."),
    ("count", "1", "There is one shape"),
    ("number", "4827", "4827"),
    ("number", "4827", "4,827"),
    ("number", "4827", "4 827"),
    ("number", "4827", "4 8 2 7"),
    ("number", "4827", "The number in picture 2 is 4827."),
    ("number", "482", "The number written in the 1st picture is 482."),
    ("number", "4827", "four thousand eight hundred and twenty-seven"),
    ("number", "42", "Forty-two"),
    ("word", "RIVER", "RIVER"),
    ("word", "RIVER", "river"),
    ("word", "RIVER", 'The word written in the picture is "River".'),
    ("word", "RIVER", "R-I-V-E-R"),
    ("word", "RIVER", "R I V E R"),
    ("yes-no", "yes", "Yes, both shapes are red."),
    ("yes-no", "no", "No. The first is red and the second is blue."),
    ("yes-no", "no", "They show different colours."),
    ("yes-no", "yes", "Both show the same colour."),
    ("yes-no", "no", "They are not the same colour."),
    ("yes-no", "yes", "Yes, there is no difference."),
    ("nothing", "nothing", "nothing"),
    ("nothing", "nothing", "Blank."),
    ("nothing", "nothing", "The picture is empty."),
    ("nothing", "nothing", "White"),
    ("nothing", "nothing", "There are no shapes; the image does not contain anything, it is blank."),
    ("json", "red circle", '{"color": "red", "shape": "circle"}'),
    ("json", "red circle", '```json\n{\n  "color": "Red",\n  "shape": "Circle"\n}\n```'),
    ("json", "gray star", 'Here you are: {"shape": "star", "colour": "grey", "size": "large"} as asked.'),
    ("no-picture", "", "no image"),
    ("no-picture", "", "I don't see an image attached. Could you upload it?"),
    ("no-picture", "", "I\u2019m unable to view the picture."),
    ("no-picture", "", "Please provide the image you would like me to look at."),
    ("no-picture", "", "I can't tell."),
    ("no-picture", "", "0"),
]

WRONG: list[tuple[Form, str, str]] = [
    ("colour", "red", "blue"),
    ("colour", "red", "red or blue"),
    ("colour", "red", "red, orange, yellow, green, blue"),
    ("colour", "red", "It could be red. It could be green."),
    ("colour", "red", ""),
    ("colour", "red", "   "),
    ("colour", "red", "no image"),
    ("colour", "red", "coloured"),
    ("colour", "red", "A shape on a red background"),
    ("colour", "red", "I see a shape."),
    ("shape", "circle", "oval"),
    ("shape", "circle", "a circle or an oval"),
    ("shape", "square", "rectangle"),
    ("shape", "square", "It is a square, a circle, or a star."),
    ("count", "3", "2"),
    ("count", "3", "2 or 3"),
    ("count", "3", "3, maybe 4"),
    ("count", "3", "several"),
    ("number", "482", "4827"),
    ("number", "482", "82"),
    ("number", "482", "482 or 483"),
    ("number", "482", "no image"),
    ("word", "RIVER", "RIVERS"),
    ("word", "RIVER", "RIVER or STONE"),
    ("word", "RIVER", " ".join(WORDS)),
    ("word", "RIVER", "no word"),
    ("yes-no", "yes", "no"),
    ("yes-no", "no", "yes"),
    ("yes-no", "yes", "yes and no"),
    ("yes-no", "no", "Yes or no"),
    ("yes-no", "no", "maybe"),
    ("nothing", "nothing", "circle"),
    ("nothing", "nothing", "no image"),
    ("nothing", "nothing", "a white circle"),
    ("nothing", "nothing", "nothing but a red star"),
    ("json", "red circle", "red circle"),
    ("json", "red circle", '{"color": "red"}'),
    ("json", "red circle", '{"color": "blue", "shape": "circle"}'),
    ("json", "red circle", '{"color": "red or blue", "shape": "circle"}'),
    ("json", "red circle", '["red", "circle"]'),
    ("json", "red circle", '{"color": "red", "shape": "circle"'),
    ("no-picture", "", "red"),
    ("no-picture", "", "The number is 482."),
    ("no-picture", "", "RIVER"),
    ("no-picture", "", "There are three shapes."),
    ("no-picture", "482 RIVER", "482"),
    ("no-picture", "482 RIVER", "I see no image, but before there was RIVER"),
]


@pytest.mark.parametrize(("form", "value", "answer"), RIGHT)
def test_right_answers(form: Form, value: str, answer: str) -> None:
    judgement = judge(answer, Expected(form, value))
    assert judgement.right, judgement


@pytest.mark.parametrize(("form", "value", "answer"), WRONG)
def test_wrong_answers(form: Form, value: str, answer: str) -> None:
    judgement = judge(answer, Expected(form, value))
    assert not judgement.right, judgement
    assert judgement.why, "a wrong answer comes with a reason"


def test_a_flood_of_words_is_not_read() -> None:
    assert not judge("red " * 1000, Expected("colour", "red")).right


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,234,567", {"1234567"}),
        ("007", {"7"}),
        ("seven two", {"7", "2"}),
        ("nineteen", {"19"}),
        ("two hundred and five", {"205"}),
        ("twelve thousand", {"12000"}),
        ("one hundred thousand", {"100000"}),
        ("a number", set()),
        ("picture 1 shows 42", {"42"}),
        ("3 and 5", {"3", "5"}),
    ],
)
def test_numbers_in_a_text(text: str, numbers: set[str]) -> None:
    assert numbers_in(text) == numbers


@given(st.integers(0, 999_999))
def test_spoken_numbers_are_understood(value: int) -> None:
    assert numbers_in(_spoken(value)) == {str(value)}


@given(st.text(max_size=300), st.sampled_from([(form, value) for form, value, _ in RIGHT]))
def test_any_text_gets_a_judgement(text: str, expected: tuple[Form, str]) -> None:
    judgement = judge(text, Expected(*expected))
    assert judgement.right or judgement.why


@given(st.sampled_from(list(COLOURS)), st.sampled_from(list(COLOURS)))
def test_one_colour_is_never_another(shown: str, said: str) -> None:
    assert judge(f"The shape is {said}.", Expected("colour", shown)).right == (shown == said)


def test_words_of_the_deck_are_never_taken_for_something_else() -> None:
    clean = [word for word in WORDS if content_of(word) == {word} and not says_no_picture(word)]
    assert clean == list(WORDS)


def _spoken(value: int) -> str:
    """English for a number below a million, written here anew so that the judge is not checked by itself."""
    small = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen"
    )
    if value < 20:
        return small.split(" ")[value]
    if value < 100:
        tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"][value // 10 - 2]
        return tens if value % 10 == 0 else f"{tens}-{_spoken(value % 10)}"
    if value < 1000:
        rest = f" and {_spoken(value % 100)}" if value % 100 else ""
        return f"{_spoken(value // 100)} hundred{rest}"
    rest = f" {_spoken(value % 1000)}" if value % 1000 else ""
    return f"{_spoken(value // 1000)} thousand{rest}"
