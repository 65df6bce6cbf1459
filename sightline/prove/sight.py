"""One run of the sight check: questions, controls, a second look where something fell short, the verdict."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from .asking import Asked, Asking, GaveUp
from .cases import DEFAULT_QUESTIONS, deal, shares
from .controls import TITLES, Controls, summed_up
from .results import Shot, Sighting, Trial
from .verdict import DEFAULT_LATENCY_LIMIT, Verdict, decide, kinds_short, slow_allowed

CONTROL_REQUESTS = {"blank": 4, "other": 4, "swap": 8, "no-picture": 4, "together": 4, "stream": 1}


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do. `seed` decides everything that is drawn; latency in seconds."""

    seed: int
    questions: int = DEFAULT_QUESTIONS
    latency_limit: float = DEFAULT_LATENCY_LIMIT
    guessing_allowed: bool = False
    controls: tuple[str, ...] = field(default_factory=lambda: tuple(TITLES))

    @property
    def requests(self) -> int:
        """Shots of a run without a second look, for the progress line."""
        return self.questions + sum(CONTROL_REQUESTS[name] for name in self.controls)


def look(endpoint: Asked, settings: Settings, tick: Callable[[Shot], None] = lambda shot: None) -> Sighting:
    """Run the sight check. Raises CouldNotTell when the first question finds nobody, ValueError for bad
    settings.
    """
    rng = random.Random(settings.seed)
    sighting = Sighting()
    asking = Asking(endpoint, sighting, settings.latency_limit, slow_allowed(settings.requests), tick)
    try:
        _ask(asking, rng, shares(settings.questions), sighting)
        controls = Controls(rng, asking, sighting.shots, settings.guessing_allowed)
        trials: dict[str, list[Trial]] = {}
        for name in settings.controls:
            trials[name] = controls.run(name)
            sighting.controls = [summed_up(done, trials[done]) for done in trials]
        _second_look(asking, rng, controls, sighting, trials)
    except GaveUp as reason:
        sighting.gave_up = str(reason)
    return sighting


def verdict_on(sighting: Sighting, settings: Settings) -> Verdict:
    """The verdict by the rules of `verdict`."""
    return decide(sighting, settings.latency_limit)


def _ask(
    asking: Asking, rng: random.Random, counts: dict[str, int], sighting: Sighting, again: bool = False
) -> None:
    for case in deal(rng, counts):
        sighting.shots.append(asking.put(case, second_look=again))


def _second_look(
    asking: Asking,
    rng: random.Random,
    controls: Controls,
    sighting: Sighting,
    trials: dict[str, list[Trial]],
) -> None:
    scores = sighting.scores()
    short = kinds_short(scores)
    if short:
        _ask(asking, rng, {kind: scores[kind][1] for kind in short}, sighting, again=True)
    for control in list(sighting.controls):
        if not control.passed and control.tally("failed") < len(control.trials):
            trials[control.name] += controls.run(control.name, second_look=True)
    sighting.controls = [summed_up(name, done) for name, done in trials.items()]
