"""Whether an estimate fits given cards, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sightline.fit.engines import Engine
from sightline.fit.estimate import Estimate, estimate
from sightline.fit.gpus import Cards
from sightline.fit.terms import Workload, counted

Outcome = Literal["fits", "uncertain", "does not fit"]

_TIGHT = 0.95
"""Share of the usable memory above which a fit is called tight."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One estimate against cards. `used` is how many of them the engine computes on; bytes are per card."""

    estimate: Estimate
    cards: Cards
    used: int

    @property
    def needed(self) -> int:
        """What the fullest card must hold."""
        return self.estimate.per_card(self.used)

    @property
    def certain(self) -> int:
        """What the fullest card must hold by arithmetic alone, estimated terms left out."""
        estimated = self.estimate.total - self.estimate.certain
        return max(0, self.needed - estimated)

    @property
    def room(self) -> int:
        """What a card has for programs."""
        return self.cards.card.usable_bytes

    @property
    def context_trouble(self) -> str | None:
        """Why the context cannot be so, None where it can."""
        asked, found = self.estimate.workload, self.estimate
        if asked.context > found.max_context:
            return f"{found.model} was made for contexts of at most {found.max_context} tokens"
        if found.context_needed > asked.context:
            pictures = f"{counted(asked.pictures, 'picture')} of {asked.width}x{asked.height}"
            return (
                f"{pictures} take {found.picture_tokens} tokens; a context of {asked.context} leaves no room "
                "for a question and an answer"
            )
        return None

    @property
    def outcome(self) -> Outcome:
        """Fits; does not, by arithmetic; or lies between, where only estimates decide."""
        if self.context_trouble or self.certain > self.room:
            return "does not fit"
        return "fits" if self.needed <= self.room else "uncertain"

    @property
    def tight(self) -> bool:
        """It fits, with less than a twentieth of the card to spare."""
        return self.outcome == "fits" and self.needed > _TIGHT * self.room

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values."""
        return {
            "outcome": self.outcome,
            "tight": self.tight,
            "card": self.cards.card.name or None,
            "card_title": self.cards.card.title,
            "cards": self.cards.count,
            "cards_used": self.used,
            "needed_bytes": self.needed,
            "certain_bytes": self.certain,
            "card_bytes": self.cards.card.memory_bytes,
            "usable_bytes": self.room,
            "context_trouble": self.context_trouble,
        }


def fit_on(model: Mapping[str, Any], engine: Engine, workload: Workload, cards: Cards) -> Fit:
    """Hold a model under a workload against cards.

    Raises:
        CannotEstimate: see `estimate`.
    """
    found = estimate(model, engine, workload)
    return Fit(found, cards, found.cards_used(cards.count))
