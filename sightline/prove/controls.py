"""Negative controls: change what is shown, keep the question, and the answer must change with it.

Right answers alone could have come from somewhere else (a cache, a log, another request). Each control
takes one such explanation away. A trial is `failed` when the answer contradicts sight, `passed` when it
confirms it, and `unclear` when the model merely misread: small print is no reason to call a seeing model
blind.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from . import draw
from .asking import Asking
from .cases import QUESTIONS, Case, Expected, Turn, ask_about, ask_about_pair
from .draw import Picture
from .judge import Judgement, judge
from .results import Control, Outcome, Shot, Trial

COMPARED_KINDS: Final = ("colour", "shape", "number", "word")
SWAPPED: Final = ("number first", "colour second", "number second", "colour first")
CROSSED: Final = "each answer fits the other picture: the order of the pictures is lost"
WITHOUT_PICTURE: Final = ("number", "word", "colour", "count")


class Controls:
    """Runs the controls against the endpoint behind `asking`; `shots` are the questions asked so far."""

    def __init__(self, rng: random.Random, asking: Asking, shots: list[Shot], guessing_allowed: bool) -> None:
        self._rng = rng
        self._asking = asking
        self._shots = shots
        self._guessing_allowed = guessing_allowed

    def run(self, name: str, second_look: bool = False) -> list[Trial]:
        """One round of the trials of a control named in TITLES."""
        rounds: dict[str, Callable[[bool], list[Trial]]] = {
            "blank": self._blank,
            "other": self._other,
            "swap": self._swap,
            "no-picture": self._no_picture,
            "together": self._together,
            "stream": self._stream,
        }
        return rounds[name](second_look)

    def _blank(self, second_look: bool) -> list[Trial]:
        trials = []
        for kind in COMPARED_KINDS:
            before = self._earlier(kind)
            case = Case(kind, (Turn(QUESTIONS[kind], (draw.blank(),)),), before.case.expected)
            trials.append(self._compared(before, case, "empty picture", second_look))
        return trials

    def _other(self, second_look: bool) -> list[Trial]:
        trials = []
        for kind in COMPARED_KINDS:
            before = self._earlier(kind)
            case = ask_about(kind, self._another_picture(kind, before.case))
            trials.append(self._compared(before, case, "another picture", second_look))
        return trials

    def _compared(self, before: Shot, case: Case, label: str, second_look: bool) -> Trial:
        """Ask `case` and look whether the answer is still the one to `before`."""
        after = self._asking.put(case, label, second_look)
        empty = case.pictures[0].count == 0
        outcome: Outcome = "passed"
        why = "the answer changed with the picture"
        if after.fault:
            outcome, why = "failed", after.fault.text
        elif _same_answer(before, after):
            outcome, why = (
                "failed",
                f"the picture is another, the answer is still {after.answer.strip()[:60]!r}",
            )
        elif not empty and not after.judgement.right:
            outcome, why = "unclear", f"the answer changed, but is not right: {after.judgement.why}"
        if empty and not after.fault:
            after = replace(after, judgement=Judgement(outcome == "passed", after.judgement.read, ""))
        return Trial((replace(before, label="before"), after), outcome, why, second_look)

    def _swap(self, second_look: bool) -> list[Trial]:
        trials = []
        for question in SWAPPED:
            one, other = self._two_that_differ(question)
            shots = (
                self._asking.put(ask_about_pair(question, one, other), "as drawn", second_look),
                self._asking.put(ask_about_pair(question, other, one), "swapped", second_look),
            )
            trials.append(Trial(shots, *_swap_outcome(shots), second_look))
        return trials

    def _no_picture(self, second_look: bool) -> list[Trial]:
        shown = self._asking.texts_shown
        trials = []
        for kind in WITHOUT_PICTURE:
            case = Case(kind, (Turn(QUESTIONS[kind]),), Expected("no-picture", " ".join(sorted(shown))))
            shot = self._asking.put(case, "without a picture", second_look)
            judgement = shot.judgement
            outcome: Outcome = "passed" if judgement.right else "failed"
            why = judgement.why or f"nothing was shown, and it says so ({judgement.read})"
            leaked = shown & set(judgement.read.split(", "))
            if outcome == "failed" and self._guessing_allowed and not shot.fault and not leaked:
                outcome, why = (
                    "passed",
                    "it guesses without a picture, which this model is known and allowed to do",
                )
            trials.append(Trial((shot,), outcome, why, second_look))
        return trials

    def _together(self, second_look: bool) -> list[Trial]:
        numbers: dict[str, Picture] = {}
        while len(numbers) < 4:
            picture = draw.number(self._rng, 3)
            numbers[picture.text or ""] = picture
        cases = [ask_about("number", picture) for picture in numbers.values()]
        trials = []
        for shot in self._asking.put_together(cases, "at the same moment", second_look):
            others = [Expected("number", text) for text in numbers if text != shot.case.expected.value]
            outcome: Outcome = "passed" if shot.judgement.right else "unclear"
            why = "its own picture's number" if shot.judgement.right else shot.judgement.why
            if shot.fault:
                outcome = "failed"
            elif any(judge(shot.answer, other).right for other in others):
                outcome, why = (
                    "failed",
                    "this number stood in a picture of another request: answers are mixed up",
                )
            trials.append(Trial((shot,), outcome, why, second_look))
        return trials

    def _stream(self, second_look: bool) -> list[Trial]:
        before = self._earlier("number" if not second_look else "word")
        shot = self._asking.put(before.case, "streamed", second_look, stream=True)
        reply = shot.replies[-1]
        if shot.fault:
            return [Trial((shot,), "failed", shot.fault.text, second_look)]
        if not reply.pieces:
            return [Trial((shot,), "failed", "the stream ended without a word", second_look)]
        outcome: Outcome = "passed" if shot.judgement.right else "unclear"
        why = (
            shot.judgement.why
            or f"the right answer came in {reply.pieces} piece{'s' if reply.pieces > 1 else ''}"
        )
        return [Trial((shot,), outcome, why, second_look)]

    def _earlier(self, kind: str) -> Shot:
        """A question of this kind asked before, one that was answered right if there is one."""
        asked = [shot for shot in self._shots if shot.case.kind == kind and not shot.fault]
        asked = [shot for shot in asked if shot.case.expected.value != "white"] or asked
        right = [shot for shot in asked if shot.judgement.right]
        return self._rng.choice(right or asked or [shot for shot in self._shots if shot.case.kind == kind])

    def _another_picture(self, kind: str, than: Case) -> Picture:
        while True:
            if kind == "number":
                picture = draw.number(self._rng, len(than.expected.value))
            elif kind == "word":
                picture = draw.word(self._rng)
            else:
                picture = draw.single_shape(self._rng, draw.any_colour(self._rng), draw.any_shape(self._rng))
            if ask_about(kind, picture).expected != than.expected:
                return picture

    def _two_that_differ(self, question: str) -> tuple[Picture, Picture]:
        if question.startswith("number"):
            one = draw.number(self._rng, 3)
            return one, self._another_picture("number", ask_about("number", one))
        one = draw.single_shape(self._rng, draw.any_colour(self._rng), draw.any_shape(self._rng))
        return one, self._another_picture("colour", ask_about("colour", one))


def _same_answer(before: Shot, after: Shot) -> bool:
    """Whether the later answer is the earlier one, word for word or in what it says."""
    if before.fault:
        return False
    return (
        " ".join(before.answer.casefold().split()) == " ".join(after.answer.casefold().split())
        or judge(after.answer, before.case.expected).right
    )


def _swap_outcome(shots: tuple[Shot, Shot]) -> tuple[Outcome, str]:
    for shot in shots:
        if shot.fault:
            return "failed", shot.fault.text
    ahead, behind = shots
    if ahead.judgement.right and behind.judgement.right:
        return "passed", "the answers swapped with the pictures"
    crossed = judge(ahead.answer, behind.case.expected).right, judge(behind.answer, ahead.case.expected).right
    if all(crossed):
        return "failed", CROSSED
    if any(crossed):
        return "failed", "the pictures were swapped, the answer was not"
    return "unclear", f"misread: {ahead.judgement.why or behind.judgement.why}"


TITLES: Final[dict[str, tuple[str, str]]] = {
    "blank": (
        "The same question, an empty picture",
        "Asked again about an empty picture, the old answer must not come back.",
    ),
    "other": (
        "The same question, another picture",
        "Asked again about another picture, the answer must change.",
    ),
    "swap": (
        "Two pictures, then the same two swapped",
        "What was in the first picture must now be in the second.",
    ),
    "no-picture": (
        "The same question, no picture at all",
        "Without a picture there is nothing to see, and the answer must not claim otherwise.",
    ),
    "together": (
        "Four questions at the same moment",
        "Each must get the answer to its own picture, not to a neighbour's.",
    ),
    "stream": (
        "The same question, streamed",
        "The answer must also arrive when it is asked for piece by piece.",
    ),
}


def summed_up(name: str, trials: list[Trial]) -> Control:
    """A control with its title and explanation."""
    title, explained = TITLES[name]
    return Control(name, title, explained, tuple(trials))
