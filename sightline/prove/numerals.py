"""The whole numbers that a text names, in digits or in words."""

from __future__ import annotations

import re

from .vocabulary import SMALL_NUMBERS, TENS

_ORDINAL = re.compile(r"\b\d+(?:st|nd|rd|th)\b")
_PICTURE_NAME = re.compile(r"\b(?:picture|image|photo|figure)\s*(?:no\.?|number|#)?\s*\d\b(?!\s*\d)")
_GROUPED = re.compile(r"\b\d{1,3}(?:[,.'\u2019\u00a0\u202f ]\d{3})+\b")
_SPACED = re.compile(r"\b\d(?:[\s,.-]+\d\b)+")
_VALUES = {name: value for value, name in enumerate(SMALL_NUMBERS)}
_VALUES |= {name: 20 + 10 * place for place, name in enumerate(TENS)}


def numbers_in(text: str) -> set[str]:
    """All whole numbers in a lower-case text, as digits without separators or leading zeros.

    "4,827", "4 827" and "4 8 2 7" are 4827; number words count where there are no digits. Which picture is
    meant ("picture 2", "the 1st picture") is no number.
    """
    text = _ORDINAL.sub(" ", text)
    text = _PICTURE_NAME.sub(" ", text)
    text = _GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    text = _SPACED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    digits = {str(int(run)) for run in re.findall(r"\d{1,18}", text)}
    return digits or {str(value) for value in _spoken(re.findall(r"[a-z]+", text))}


def _spoken(tokens: list[str]) -> list[int]:
    """Number words below a million: "four thousand eight hundred and twenty seven" is 4827."""
    found: list[int] = []
    total = current = 0
    running = False
    for token in [*tokens, ""]:
        if token in _VALUES:
            value = _VALUES[token]
            if running and not _continues(current, value):
                found.append(total + current)
                total = current = 0
            current += value
            running = True
        elif running and token == "hundred" and 0 < current < 100:
            current *= 100
        elif running and token == "thousand" and current and not total:
            total, current = current * 1000, 0
        elif running and token != "and":
            found.append(total + current)
            total = current = 0
            running = False
    return found


def _continues(current: int, value: int) -> bool:
    """Whether a number word goes on with the number begun ("twenty" "seven") or starts another ("seven"
    "two").
    """
    rest = current % 100
    return rest == 0 or (rest >= 20 and rest % 10 == 0 and 0 < value < 10)
