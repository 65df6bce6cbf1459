"""What came of asking: shots (one question and its answer), trials (shots compared), controls (trials
summed up).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from .cases import KINDS, Case
from .client import Fault, Reply
from .judge import Judgement

Outcome = Literal["passed", "failed", "unclear"]


@dataclass(frozen=True)
class Shot:
    """One case as it was asked: a reply per turn, the judgement of the last, and what the shot is for."""

    case: Case
    replies: tuple[Reply, ...]
    judgement: Judgement
    label: str = ""
    second_look: bool = False

    @property
    def answer(self) -> str:
        """The answer that is judged; empty after a fault."""
        return self.replies[-1].text if self.replies else ""

    @property
    def fault(self) -> Fault | None:
        """The fault that ended the conversation, if one did."""
        return self.replies[-1].fault if self.replies else None

    @property
    def seconds(self) -> float:
        """Seconds that the last reply took."""
        return self.replies[-1].seconds if self.replies else 0.0


@dataclass(frozen=True)
class Trial:
    """One try of a negative control: the shots side by side, and what comparing them shows."""

    shots: tuple[Shot, ...]
    outcome: Outcome
    why: str
    second_look: bool = False


@dataclass(frozen=True)
class Control:
    """A negative control: its trials together."""

    name: str
    title: str
    explained: str
    trials: tuple[Trial, ...]

    def tally(self, outcome: Outcome) -> int:
        """How many trials came out like this."""
        return sum(trial.outcome == outcome for trial in self.trials)

    @property
    def passed(self) -> bool:
        """At most a quarter of the trials failed, and at least half of them clearly passed."""
        total = len(self.trials)
        return total > 0 and 4 * self.tally("failed") <= total and 2 * self.tally("passed") >= total


@dataclass
class Sighting:
    """Everything that one run of the sight check saw, in the order it happened. `gave_up` says why it
    ended early.
    """

    shots: list[Shot] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    gave_up: str = ""

    def scores(self) -> dict[str, tuple[int, int]]:
        """Right answers and questions, of each kind that was asked, in the order of KINDS."""
        asked = {kind: [shot for shot in self.shots if shot.case.kind == kind] for kind in KINDS}
        return {
            kind: (sum(s.judgement.right for s in shots), len(shots))
            for kind, shots in asked.items()
            if shots
        }

    def right(self) -> int:
        """Right answers of all questions."""
        return sum(shot.judgement.right for shot in self.shots)

    def latency(self, share: float) -> float:
        """The latency in seconds that this share (0-1) of the answers kept to (nearest rank); 0 without
        answers.
        """
        ordered = sorted(self.seconds)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
