"""From what was seen to one of three verdicts: proven, not proven, could not tell.

The rules, and why these numbers
--------------------------------
A healthy small model misreads one picture in fifty or a hundred; a blind one guesses. The rules have to
tell these two apart and never mistake one for the other.

*Overall*: at least nine in ten of all questions right. *Each kind*: at least seven in ten right (half,
where four or fewer were asked), because a defect may hide in one kind: swapped colour channels leave words
readable. *Controls*: see `Control.passed`. *Faults*: none. *Latency*: the 95th percentile within the limit.

One round of 40 questions at p = 0.98 per question has five or more misses, and so fails "nine in ten", with
probability sum_{k>=5} C(40,k) 0.02^k 0.98^(40-k) = 0.0014, and some kind falls below its floor with about
0.02: one or two false alarms in 50 runs. Therefore a shortfall gets a **second look**: the kinds and
controls that fell short are asked once more with fresh pictures, as many again, and both rounds are judged
together by the same rules. False alarms then need two independent unlikely rounds;
tests/prove/test_statistics.py computes the rate from these very rules (docs/prove.md has the figures). A
blind endpoint gains nothing: a guesser's chances are 1/11 for a colour, 1/6 for a shape, 1/4 for a count,
1/2 for yes or no and below 1/100 for a number or a word, so it gets about 5 of 40 right; 36 are wanted.
Without at least six in ten right overall there is no second look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from .diagnosis import Cause, causes
from .results import Sighting

OutcomeName = Literal["proven", "not proven", "could not tell"]
EXIT_CODES: Final[dict[OutcomeName, int]] = {"proven": 0, "not proven": 1, "could not tell": 2}

OVERALL: Final = Fraction(9, 10)
KIND_FLOOR: Final = Fraction(7, 10)
SMALL_KIND: Final = 4
SMALL_KIND_FLOOR: Final = Fraction(1, 2)
WORTH_A_SECOND_LOOK: Final = Fraction(6, 10)
LATENCY_SHARE: Final = Fraction(95, 100)
DEFAULT_LATENCY_LIMIT: Final = 60.0


@dataclass(frozen=True)
class Verdict:
    """The outcome, one sentence saying why, and every cause found, the most telling first."""

    outcome: OutcomeName
    sentence: str
    causes: tuple[Cause, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 proven, 1 not proven, 2 could not tell."""
        return EXIT_CODES[self.outcome]


def needed(asked: int) -> int:
    """Right answers needed of all questions."""
    return math.ceil(OVERALL * asked)


def needed_of_kind(asked: int) -> int:
    """Right answers needed of the questions of one kind."""
    return math.ceil((SMALL_KIND_FLOOR if asked <= SMALL_KIND else KIND_FLOOR) * asked)


def slow_allowed(answers: int) -> int:
    """How many of this many answers may take longer than the limit while the 95th percentile keeps it."""
    return answers - math.ceil(LATENCY_SHARE * answers)


def kinds_short(scores: dict[str, tuple[int, int]]) -> list[str]:
    """Kinds that earn a second look: those below their floor and, where the whole falls short, all with a
    miss.

    Empty when nothing fell short, and when so little was right that a second look could not mend it.
    """
    right = sum(score[0] for score in scores.values())
    asked = sum(score[1] for score in scores.values())
    if right < WORTH_A_SECOND_LOOK * asked:
        return []
    return [
        kind
        for kind, (kind_right, kind_asked) in scores.items()
        if kind_right < needed_of_kind(kind_asked) or (right < needed(asked) and kind_right < kind_asked)
    ]


def decide(sighting: Sighting, latency_limit: float) -> Verdict:
    """Apply the rules to what was seen."""
    asked, right = len(sighting.shots), sighting.right()
    found = list(causes(sighting))
    if sighting.faults:
        last = sighting.faults[-1].text
        often = "once" if len(sighting.faults) == 1 else f"{len(sighting.faults)} times"
        found.append(Cause("errors", f"It gave an error instead of an answer {often} (the last: {last})."))
    p95 = sighting.latency(float(LATENCY_SHARE))
    if p95 > latency_limit:
        found.append(
            Cause(
                "slow",
                f"It is too slow: 95 in 100 answers took {p95:.1f} s, the limit is {latency_limit:g} s.",
            )
        )
    if asked and right < needed(asked) and not sighting.gave_up:
        found.append(
            Cause(
                "too_many_wrong", f"Only {right} of {asked} answers were right; {needed(asked)} are needed."
            )
        )
    short = [
        f"{kind} {kind_right} of {kind_asked}"
        for kind, (kind_right, kind_asked) in sighting.scores().items()
        if kind_right < needed_of_kind(kind_asked)
    ]
    if short and not sighting.gave_up:
        found.append(Cause("kind_too_weak", f"Too few right answers of a kind: {', '.join(short)}."))
    for control in sighting.controls:
        if not control.passed:
            worst = next(
                (trial.why for trial in control.trials if trial.outcome == "failed"), "too few clear answers"
            )
            found.append(
                Cause(f"control_{control.name.replace('-', '_')}", f"Control “{control.title}”: {worst}.")
            )
    if sighting.gave_up:
        found.append(Cause("gave_up", f"The check ended early: {sighting.gave_up}."))
    if found:
        return Verdict("not proven", f"Not proven: {_uncapitalised(found[0].text)}", tuple(found))
    controls = len(sighting.controls)
    return Verdict(
        "proven",
        f"Proven: it sees. {right} of {asked} answers were right, and all {controls} controls passed.",
    )


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
