"""Whether an answer is right: strict about what it says, patient about how it says it.

A large model answers in sentences ("The shape is red, on a white background."), a small one in a word. Both
are read the same way: everything in the answer that could be an answer is collected, and the answer is
right when that is exactly the expected thing. Hedging ("red or blue") and listing are therefore wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from .cases import Expected
from .numerals import numbers_in
from .vocabulary import COLOUR_ALIASES, COLOURS, OTHER_SHAPES, SHAPE_ALIASES, SHAPES, WORDS

LONGEST_ANSWER: Final = 1200
"""Characters. A longer answer to a question for one word is not read: something in it would always fit."""

_BACKGROUND = re.compile(
    r"\b(?:on|against|with|over|in)?\s*(?:an?|the)?\s*"
    r"(?:(?:plain|solid|light|dark|pale|off|very)[\s-]+)*"
    r"(\w+)[\s-]+(?:colou?red\s+)?(?:background|backdrop|canvas)\b"
)
_NO_PICTURE = re.compile(
    r"\bno (?:image|picture|photo)s?\b"
    r"|\b(?:do not|don't|cannot|can't|can not|could not|couldn't|unable to|not able to|didn't|did not)\b"
    r"[^.]{0,40}"
    r"\b(?:see|view|access|receive|find|have|attach|provide|include|display|process)\b[^.]{0,40}"
    r"\b(?:image|picture|photo|attachment|file)s?\b"
    r"|\b(?:image|picture|photo|attachment)s?\b[^.]{0,30}\b(?:not|n't|missing|absent)\b[^.]{0,20}"
    r"\b(?:provided|attached|uploaded|shared|sent|available|included|found|received|loaded)\b"
    r"|\b(?:image|picture|photo)s? (?:is|are|was|were|seems?(?: to be)?) (?:missing|absent)\b"
    r"|\b(?:please|could you|can you)\b[^.]{0,25}\b(?:provide|upload|share|attach|send|include)\b"
    r"|\bwithout (?:an?|the|seeing|any)\b[^.]{0,20}\b(?:image|picture|photo)\b"
)
_NOTHING = frozenset({"nothing", "empty", "blank", "none", "emptiness", "white", "whiteness"})
_YES = frozenset({"yes", "yeah", "yep", "true", "correct"})
_NO = frozenset({"no", "nope", "false", "not", "different", "differ", "isn't", "aren't", "don't"})


@dataclass(frozen=True)
class Judgement:
    """The verdict on one answer; `read` is what the judge took it to say, `why` explains a wrong one."""

    right: bool
    read: str
    why: str = ""


def judge(answer: str, expected: Expected) -> Judgement:
    """Compare an answer with the expected one. Never raises: whatever a model says is an answer."""
    text = _plain(answer)
    if not text:
        return Judgement(False, "", "the answer is empty")
    if len(text) > LONGEST_ANSWER:
        return Judgement(
            False, "", f"the answer runs to {len(text)} characters; it was to be a word or a number"
        )
    if expected.form == "no-picture":
        return _judge_no_picture(text, expected.value)
    if expected.form == "json":
        return _judge_json(answer, expected.value)
    if says_no_picture(answer):
        return Judgement(False, "no picture", "it says that it got no picture")
    found = _READERS[expected.form](text)
    if found == {expected.value}:
        return Judgement(True, expected.value)
    if not found:
        return Judgement(False, "", f"no {_name(expected.form)} in the answer")
    read = ", ".join(sorted(found))
    if expected.value in found:
        return Judgement(False, read, f"it names {read}: more than the one right answer")
    return Judgement(False, read, f"it says {read}, not {expected.value}")


def says_no_picture(answer: str) -> bool:
    """Whether an answer says that no picture came."""
    return bool(_NO_PICTURE.search(_plain(answer)))


def content_of(answer: str) -> frozenset[str]:
    """Everything an answer claims to have seen: colours, shapes, numbers above zero and words of the deck."""
    text = _plain(answer)
    claimed = colours_in(text) | shapes_in(text) | words_in(text) | (numbers_in(text) - {"0"})
    return frozenset(claimed)


def colours_in(text: str) -> set[str]:
    """The basic colours named in a text, the colour of a background left out."""
    return _colour_tokens(_BACKGROUND.sub(" ", text, count=1))


def shapes_in(text: str) -> set[str]:
    """The shapes named in a text, also those that are never drawn."""
    found = set()
    for token in _tokens(text):
        for name in (token, token.removesuffix("s")):
            name = SHAPE_ALIASES.get(name, name)
            if name in SHAPES or name in OTHER_SHAPES:
                found.add(name)
    return found


def words_in(text: str) -> set[str]:
    """The words of the deck that a text contains, in capitals; also when spelt out ("R-I-V-E-R")."""
    spelt = re.sub(r"\b(?:[a-z][\s.-]+){2,}[a-z]\b", lambda run: re.sub(r"[\s.-]", "", run[0]), text)
    return {token.upper() for token in _tokens(spelt)} & set(WORDS)


def _colour_tokens(text: str) -> set[str]:
    named = {COLOUR_ALIASES.get(token, token) for token in _tokens(text)}
    return named & set(COLOURS)


def _yes_no(text: str) -> set[str]:
    tokens = _tokens(re.sub(r"\bno (?:difference|doubt)\b", " ", text))
    if {"yes", "no"} <= set(tokens):
        return {"yes", "no"}
    if tokens and tokens[0] in _YES:
        return {"yes"}
    if _NO & set(tokens):
        return {"no"}
    return {"yes"} if "same" in tokens or _YES & set(tokens) else set()


def _nothing(text: str) -> set[str]:
    tokens = set(_tokens(text))
    seen = (_colour_tokens(text) - {"white"}) | shapes_in(text) | words_in(text) | numbers_in(text)
    if tokens & _NOTHING or re.search(r"\bno (?:shapes?|objects?|content|text)\b", text):
        return seen or {"nothing"}
    return seen


def _judge_no_picture(text: str, shown: str) -> Judgement:
    """Right when it says that no picture came, or claims nothing. `shown` are the texts of earlier
    pictures.
    """
    claimed = content_of(text)
    for leaked in sorted(claimed & set(shown.split())):
        return Judgement(
            False, leaked, f"it says {leaked}, which stood in a picture sent before: pictures leak"
        )
    if says_no_picture(text):
        return Judgement(True, "no picture")
    if claimed:
        read = ", ".join(sorted(claimed))
        return Judgement(False, read, f"it claims to see {read} although no picture was sent")
    return Judgement(True, "claims nothing")


def _judge_json(answer: str, value: str) -> Judgement:
    colour, shape = value.split()
    parsed = _first_object(answer)
    if parsed is None:
        return Judgement(False, "", "there is no JSON object in the answer")
    lowered = {str(key).lower(): _plain(str(item)) for key, item in parsed.items()}
    found_colour = colours_in(lowered.get("color", lowered.get("colour", "")))
    found_shape = shapes_in(lowered.get("shape", ""))
    read = f"{'/'.join(sorted(found_colour)) or '?'} {'/'.join(sorted(found_shape)) or '?'}"
    if found_colour == {colour} and found_shape == {shape}:
        return Judgement(True, read)
    return Judgement(False, read, f"it says {read}, not {value}")


def _first_object(answer: str) -> dict[str, Any] | None:
    """The first JSON object in an answer, fenced or bare."""
    decoder = json.JSONDecoder()
    for brace in list(re.finditer(r"\{", answer))[:50]:
        try:
            value, _ = decoder.raw_decode(answer, brace.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _plain(answer: str) -> str:
    """Lower case, one kind of apostrophe, no markdown marks, single spaces."""
    lowered = answer.casefold().replace("\u2019", "'")
    return " ".join(re.sub(r"[*_`#>\"\u201c\u201d]", " ", lowered).split())


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text)


def _name(form: str) -> str:
    return {"yes-no": "yes or no", "nothing": "word for an empty picture"}.get(form, form)


_READERS: Final = {
    "colour": colours_in,
    "shape": shapes_in,
    "count": numbers_in,
    "number": numbers_in,
    "word": words_in,
    "yes-no": _yes_no,
    "nothing": _nothing,
}
