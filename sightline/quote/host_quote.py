"""What a plan of a real host means in minutes and money, with what is there now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.fit import Cards, Fit, cards_of_host
from sightline.plan import Plan
from sightline.plan.reading import read_or_none
from sightline.plan.render import human_bytes
from sightline.quote.making import ANSWER_TOKENS
from sightline.quote.measured import NoMeasurement, read_report
from sightline.quote.price import Measured, Price, price
from sightline.quote.rates import human_seconds, parse_rate
from sightline.quote.speed import card_speed
from sightline.quote.timing import Rates, Stage, Work, stages, total_seconds

_SHOWN = 0.5
"""Seconds below which a stage is not named beside the sum."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person says of a host: bytes a second of its line, prices an hour; None for what nobody said."""

    line: float | None = None
    per_hour: float | None = None
    cpu_per_hour: float | None = None


def read_terms(said: Mapping[str, Any]) -> Terms:
    """Return the terms out of settings `line`, `per_hour` and `cpu_per_hour`; "" and 0 say nothing.

    Raises:
        ValueError: one of them is no rate or no price.
    """
    line = str(said.get("line") or "")
    return Terms(
        line=parse_rate(line) if line else None,
        per_hour=_price(said, "per_hour"),
        cpu_per_hour=_price(said, "cpu_per_hour"),
    )


@dataclass(frozen=True, slots=True)
class HostQuote:
    """One host: what is there, the plan, the stages to the first answer, and their price."""

    host: str
    there: tuple[str, ...]
    plan: Plan
    stages: list[Stage]
    price: Price

    @property
    def seconds(self) -> float | None:
        """Seconds until it answers; None where they are not known or nothing is to be done."""
        return total_seconds(self.stages)

    def lines(self) -> list[str]:
        """Return the plan's text with minutes and money under its sums, as far as they are known."""
        text = self.plan.as_text().splitlines()
        return [text[0], f"  there now: {', '.join(self.there)}", *text[1:], *self.sums()]

    def sums(self) -> list[str]:
        """Return the lines about time and price; none where neither is known."""
        found = []
        if self.seconds is not None:
            parts = [
                f"{stage.name} {human_seconds(stage.seconds)}"
                for stage in self.stages
                if stage.seconds is not None and stage.seconds >= _SHOWN
            ]
            found.append(
                f"  time to the first answer, estimated: {human_seconds(self.seconds)} ({', '.join(parts)})"
            )
        if self.price.first_answer is not None:
            found.append(f"  cost to the first answer: {self.price.first_answer:.2f}")
        if (many := self.price.per_thousand) is not None:
            cost = f"{many.cost:.2f}, " if many.cost is not None else ""
            found.append(f"  1,000 pictures: {cost}{human_seconds(many.seconds)}; {many.says}")
        if self.price.hint:
            found.append(f"  hint: {self.price.hint}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the quote as plain JSON values."""
        return {
            "host": self.host,
            "there": list(self.there),
            "plan": self.plan.to_dict(),
            "time": {"seconds": self.seconds, "stages": [stage.to_dict() for stage in self.stages]},
            "price": self.price.to_dict(),
            "text": self.lines(),
        }


def quote_host(
    host: str,
    plan: Plan,
    fit: Fit | None,
    model: Mapping[str, Any],
    facts: Mapping[str, Any],
    terms: Terms,
    report: Path,
) -> HostQuote:
    """Work out minutes and money of a plan.

    `fit`: the model against the host's GPUs, None on a CPU. `report`: where scripts/prove left the host's
    last report, if it did; answers of the same model there go before any estimate.
    """
    cards = cards_of_host(read_or_none(facts, "gpus", list) or [])
    work = _work(plan, model, fit)
    speed = one = None
    pictures = fit.estimate.workload.pictures if fit else 1
    if fit and plan.ok:
        speed = card_speed(model, fit.estimate, fit.cards.card, pictures)
        one = card_speed(model, fit.estimate, fit.cards.card, 1)
    card = fit.cards.card if fit else None
    found = stages(work, Rates(terms.line), card, speed, pictures, ANSWER_TOKENS) if plan.ok else []
    return HostQuote(
        host=host,
        there=tuple(_there(facts, cards, plan.root)),
        plan=plan,
        stages=found,
        price=price(
            terms.per_hour, terms.cpu_per_hour, found, one, ANSWER_TOKENS, _measured(report, plan.model)
        ),
    )


def _work(plan: Plan, model: Mapping[str, Any], fit: Fit | None) -> Work:
    """Return what is missing on this host; bytes as the plan has them."""
    fetch = {share.what: share.bytes for share in plan.fetch}
    disk = {share.what: share.bytes for share in plan.disk}
    memory = {share.what: share.bytes for share in plan.memory}
    weights = fit.estimate.terms[0].bytes if fit else memory.get("weights")
    starts = any(step.name == "service" and step.action in ("make", "change") for step in plan.steps)
    return Work(
        model=fetch.get("model") if model["source"]["kind"] != "repository" else None,
        wheels=fetch.get("wheels"),
        environment=disk.get("environment"),
        weights=weights if starts else None,
        starts=starts,
    )


def _there(facts: Mapping[str, Any], cards: Cards | None, root: str) -> list[str]:
    """What the host is, as far as the probe could read it."""
    system = " ".join(str(facts.get("distribution", {}).get(key) or "") for key in ("id", "version")).strip()
    driver = read_or_none(facts, "driver.version", str)
    free = read_or_none(facts, "root.free_bytes", int)
    memory = read_or_none(facts, "memory.available_bytes", int)
    count = read_or_none(facts, "cpu.count", int)
    pythons = read_or_none(facts, "python", list) or []
    each = " each" if cards and cards.count > 1 else ""
    return [
        part
        for part in (
            system,
            read_or_none(facts, "arch", str),
            read_or_none(facts, "init", str),
            f"{count} cores" if count else None,
            f"{human_bytes(memory)} of memory free" if memory is not None else None,
            f"{human_bytes(free)} free under {root}" if free is not None else None,
            f"{cards} with {human_bytes(cards.card.memory_bytes)}{each}" if cards else "no GPU",
            f"driver {driver}" if driver else None,
            f"Python {pythons[0].get('version')}"
            if pythons and isinstance(pythons[0], dict)
            else "no Python",
        )
        if part
    ]


def _measured(report: Path, model: str) -> Measured | None:
    try:
        return read_report(report, model) if report.is_file() else None
    except NoMeasurement:
        return None


def _price(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name) or 0
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(f"{value!r} is no price per hour; write a number, such as 2.5")
    return found or None
