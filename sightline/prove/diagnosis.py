"""What most likely broke, told from the pattern of the answers, in words for the person who has to mend
it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .cases import Expected
from .controls import CROSSED
from .judge import content_of, judge, says_no_picture
from .results import Shot, Sighting


@dataclass(frozen=True)
class Cause:
    """A code for machines and a sentence for people."""

    code: str
    text: str


def causes(sighting: Sighting) -> Iterator[Cause]:
    """The breakages whose pattern fits, the most telling first; nothing for a healthy endpoint."""
    answered = [shot for shot in sighting.shots if not shot.fault]
    if len(answered) < 5:
        return
    wrong = [shot for shot in answered if not shot.judgement.right]
    yield from _channels(answered)
    detail = list(_detail(answered))
    # Who tells colours and empty pictures apart is not blind, however much of the rest is wrong.
    if 2 * len(wrong) > len(answered) and not detail:
        yield from _one_pattern(answered, sighting)
        return
    yield from detail
    yield from _order(sighting)


def _order(sighting: Sighting) -> Iterator[Cause]:
    """Answers that fit the other picture: about both pictures of a pair, or about one of them only."""
    swap = next((control for control in sighting.controls if control.name == "swap"), None)
    if swap is None or swap.passed:
        return
    crossed = {trial.shots[0].case.question for trial in swap.trials if trial.why == CROSSED}
    asked = {trial.shots[0].case.question for trial in swap.trials}
    if crossed == asked:
        yield Cause("order_reversed", "Two pictures reach the model in the wrong order.")
    elif crossed:
        seen = "first" if all("second" in question for question in crossed) else "second"
        yield Cause("one_picture_only", f"Of two pictures only the {seen} one is looked at.")


def _channels(answered: list[Shot]) -> Iterator[Cause]:
    red_blue = [
        shot
        for shot in answered
        if shot.case.kind == "colour" and shot.case.expected.value in ("red", "blue")
    ]
    other = {"red": "blue", "blue": "red"}
    swapped = [
        shot
        for shot in red_blue
        if judge(shot.answer, Expected("colour", other[shot.case.expected.value])).right
    ]
    directions = {shot.case.expected.value for shot in swapped}
    if len(directions) == 2 and 2 * len(swapped) > len(red_blue):
        yield Cause(
            "channels_swapped", "It takes red for blue and blue for red: the colour channels are swapped."
        )


def _one_pattern(answered: list[Shot], sighting: Sighting) -> Iterator[Cause]:
    total = len(answered)
    answers = Counter(" ".join(shot.answer.casefold().split()) for shot in answered)
    common, often = answers.most_common(1)[0]
    blind = sum(says_no_picture(shot.answer) for shot in answered)
    if often == total and not common:
        yield Cause("empty_answers", "Every answer is empty.")
    elif 10 * blind >= 8 * total:
        yield Cause("picture_dropped", "The pictures do not reach the model: it says that it sees none.")
    elif 10 * often >= 9 * total:
        yield Cause("constant_answer", f"It gives the same answer whatever is asked: {common[:60]!r}.")
    elif _late(answered):
        yield Cause(
            "late_answers", "Its answers belong to the question asked before: they come one request too late."
        )
    elif _stuck(answered):
        yield Cause("stuck_picture", _stuck_text(answered))
    elif _guesses(sighting):
        yield Cause(
            "guessing",
            "It guesses from the question alone: it claims to see things where no picture was sent.",
        )
    else:
        yield Cause("blind", "Its answers have little to do with the pictures.")


def _late(answered: list[Shot]) -> bool:
    """Whether answers fit the question before, where that one has another answer than its own."""
    chances = fits = 0
    for before, shot in pairwise(answered):
        if before.case.expected.value == shot.case.expected.value:
            continue
        chances += 1
        fits += judge(shot.answer, before.case.expected).right
    return chances >= 5 and 10 * fits >= 7 * chances


def _stuck(answered: list[Shot]) -> bool:
    """Whether every question gets one answer only, although its right answer changed from picture to
    picture.
    """
    constant = varied = 0
    for shots in _by_question(answered).values():
        if len({shot.case.expected.value for shot in shots}) < 3:
            continue
        varied += len(shots)
        said = Counter(" ".join(shot.answer.casefold().split()) for shot in shots)
        constant += said.most_common(1)[0][1]
    return varied >= 5 and 10 * constant >= 9 * varied


def _stuck_text(answered: list[Shot]) -> str:
    same = "The same question always gets the same answer, whatever picture comes with it"
    first = next((shot.case.pictures[0] for shot in answered if shot.case.pictures), None)
    colours = [shot for shot in answered if shot.case.kind == "colour"]
    seen = {content for shot in colours for content in content_of(shot.answer)}
    if first is not None and first.colour and first.colour in seen:
        return f"{same}: it keeps looking at the first one ({first.caption})."
    if not seen:
        return f"{same}: it seems to be shown an empty or unreadable picture."
    return f"{same}: it keeps looking at one old picture, or gives old answers again."


def _guesses(sighting: Sighting) -> bool:
    control = next((control for control in sighting.controls if control.name == "no-picture"), None)
    return control is not None and not control.passed


def _detail(answered: list[Shot]) -> Iterator[Cause]:
    """Coarse things right and fine print wrong: the picture is there, but small or mirrored."""
    fine = [shot for shot in answered if shot.case.kind in ("number", "word")]
    coarse = [shot for shot in answered if shot.case.kind in ("colour", "empty")]
    fine_right = sum(shot.judgement.right for shot in fine)
    coarse_right = sum(shot.judgement.right for shot in coarse)
    if fine and coarse and 10 * fine_right <= 3 * len(fine) and 10 * coarse_right >= 8 * len(coarse):
        yield Cause(
            "detail_lost",
            "It sees colours but can't read: the pictures arrive too small, mirrored or damaged.",
        )


def _by_question(answered: list[Shot]) -> dict[str, list[Shot]]:
    groups: dict[str, list[Shot]] = defaultdict(list)
    for shot in answered:
        if shot.case.kind in ("colour", "shape", "count", "number", "word"):
            groups[shot.case.question].append(shot)
    return groups
