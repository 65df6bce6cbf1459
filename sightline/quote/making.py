"""Put together a quote: the fit, what would fit instead, the way to the first answer, and its price."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sightline.catalogue import load_model, load_release
from sightline.fit import (
    CannotEstimate,
    Card,
    Cards,
    Engine,
    Fit,
    Option,
    Workload,
    choose_engine,
    fit_on,
    options,
)
from sightline.fit.terms import counted
from sightline.plan.checks import (
    engine_serves_model,
    model_can_be_brought,
    model_is_pinned,
    release_is_locked,
)
from sightline.plan.gpu import bfloat16_notes, kernels_for
from sightline.plan.outcome import Share
from sightline.plan.situation import Situation, disk_shares
from sightline.quote.measured import read_report
from sightline.quote.price import Price, price
from sightline.quote.speed import card_speed
from sightline.quote.timing import Rates, Stage, fresh_work, stages, total_seconds

ANSWER_TOKENS = 100
_VLLM_SHARE = 0.9
"""What vLLM takes of a card where nobody says (--gpu-memory-utilization), whatever it needs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to know. Rates are bytes a second; None stands for "not said"."""

    model: str
    cards: Cards
    workload: Workload = field(default_factory=Workload)
    engine: str | None = None
    release: str | None = None
    rates: Rates = field(default_factory=lambda: Rates(None))
    per_hour: float | None = None
    cpu_per_hour: float | None = None
    answer_tokens: int = ANSWER_TOKENS
    measured: Path | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """The whole answer; without stages and prices where it does not fit. `disk`: what must be free, in bytes.

    `hindrances`: why this kit cannot deploy it today; empty where it can. `others`: engines that people will
    try in vain, each with the reason.
    """

    title: str
    release: str | None
    fit: Fit
    options: list[Option]
    stages: list[Stage]
    disk: tuple[Share, ...]
    price: Price
    hindrances: list[str]
    notes: list[str]
    others: list[tuple[str, str]]

    @property
    def seconds(self) -> float | None:
        """Seconds to the first answer; None where they are not known."""
        return total_seconds(self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Return the quote as plain JSON values."""
        return {
            "schema": 1,
            "model": self.fit.estimate.model,
            "title": self.title,
            "release": self.release,
            "fit": self.fit.to_dict(),
            "memory": self.fit.estimate.to_dict(),
            "options": [option.to_dict() for option in self.options],
            "disk": {
                "bytes": sum(share.bytes for share in self.disk),
                "shares": [asdict(share) for share in self.disk],
            },
            "time": {"seconds": self.seconds, "stages": [stage.to_dict() for stage in self.stages]},
            "price": self.price.to_dict(),
            "deployable": not self.hindrances,
            "hindrances": self.hindrances,
            "notes": self.notes,
            "cannot_serve": [{"engine": engine, "why": why} for engine, why in self.others],
        }


def make_quote(asked: Asked) -> Quote:
    """Work the quote out.

    Raises:
        CannotEstimate: the memory cannot be said, or the engine does not serve the model.
        CatalogueError: there is no such model or release.
        NoMeasurement: the report that was named is none.
    """
    model = load_model(asked.model)
    engine, serving = choose_engine(model, asked.engine)
    release = _release(model, engine, asked.release)
    fit = fit_on(model, engine, asked.workload, asked.cards)
    measured = read_report(asked.measured, asked.model) if asked.measured else None
    card, pictures = asked.cards.card, asked.workload.pictures
    first = card_speed(model, fit.estimate, card, pictures)
    # Minutes and prices of what does not fit would only lead astray.
    hopeless = fit.outcome == "does not fit"
    parts = {"environment", "model"} if release else {"model"}
    work = fresh_work(model, release, fit.estimate.terms[0].bytes)
    found = stages(work, asked.rates, card, first, pictures, asked.answer_tokens)
    return Quote(
        title=model["title"],
        release=release["name"] if release else None,
        fit=fit,
        options=[] if fit.outcome == "fits" else _options(model, fit, asked.release),
        stages=[] if hopeless else found,
        disk=disk_shares(Situation(model, release or {}, {}, {}), parts),
        price=price(
            asked.per_hour,
            asked.cpu_per_hour,
            [] if hopeless else found,
            None if hopeless else card_speed(model, fit.estimate, card, 1),
            asked.answer_tokens,
            None if hopeless else measured,
        ),
        hindrances=_hindrances(model, release, engine.name, card),
        notes=[*bfloat16_notes(model, card), *_notes(fit, release, serving)],
        others=[(other["engine"], other["why"]) for other in model["engines"]["cannot_serve"]],
    )


def _release(model: dict[str, Any], engine: Engine, wanted: str | None) -> dict[str, Any] | None:
    """Return the release that is wanted, or the first with CUDA that has the engine; None where none has.

    Raises:
        CannotEstimate: the release that is wanted does not go with it.
    """
    carried = [
        load_release(name)
        for serving in model["engines"]["can_serve"]
        if (serving["engine"], serving.get("loader", "")) == (engine.name, engine.loader)
        for name in serving["releases"]
    ]
    if wanted is None:
        return next((release for release in carried if release["accelerator"] == "cuda"), None)
    load_release(wanted)
    for release in carried:
        if release["name"] == wanted:
            return release
    raise CannotEstimate(
        f"{engine.name} in release {wanted} does not serve {model['name']}, as far as the catalogue knows",
        f"leave --release out, or use {' or '.join(release['name'] for release in carried)}"
        if carried
        else "leave --release out",
    )


def _options(model: dict[str, Any], fit: Fit, release: str | None) -> list[Option]:
    """What would fit instead; where a release was asked for, only what it carries."""
    found = options(model, fit)
    return [each for each in found if release is None or _carried(each, model, fit.estimate.engine, release)]


def _carried(option: Option, model: dict[str, Any], engine: Engine, release: str) -> bool:
    words = dict(zip(option.words[::2], option.words[1::2], strict=True))
    other = load_model(words["--model"]) if "--model" in words else model
    try:
        _release(other, choose_engine(other, words.get("--engine", engine.name))[0], release)
    except CannotEstimate:
        return False
    return True


def _hindrances(model: dict[str, Any], release: dict[str, Any] | None, engine: str, card: Card) -> list[str]:
    """Why the kit would refuse it on any host with this card: the plan's own checks that need no host."""
    if release is None:
        return [f"no release of this kit for GPUs carries {engine} for it yet"]
    there = Situation(model, release, {}, {"engine": engine})
    checks = (engine_serves_model, model_is_pinned, model_can_be_brought, release_is_locked)
    found = [objection for check in checks for objection in check(there, {"model"})]
    return [f"{each.what}: {each.why}" for each in (*found, *kernels_for(release, card))]


def _notes(fit: Fit, release: dict[str, Any] | None, serving: dict[str, Any]) -> list[str]:
    notes = []
    if fit.tight:
        notes.append("it is tight: less than a twentieth of the card is left, and some terms are estimates")
    if fit.used < fit.cards.count:
        used = counted(fit.used, "card")
        notes.append(
            f"{fit.estimate.engine.name} computes {fit.estimate.model} on {used}; the others stay idle"
        )
    if fit.estimate.engine.name == "vllm":
        note = f"vLLM takes {_VLLM_SHARE:.0%} of a card unless it is told otherwise"
        needed = math.ceil(100 * fit.needed / fit.cards.card.memory_bytes) / 100
        if _VLLM_SHARE < needed < 1:
            note += f"; this needs more: start it with --gpu-memory-utilization {needed:.2f}"
        notes.append(note)
    if serving["status"] != "checked_here":
        notes.append(f"that {serving['engine']} serves it was not checked here: {serving['source']}")
    if serving.get("notes"):
        notes.append(f"{serving['engine']}: {' '.join(serving['notes'].split())}")
    if release is None:
        notes.append("the environment's download and build are not counted: no release has it")
    return notes
