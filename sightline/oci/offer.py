"""What a region offers: whether the model is there, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_NEVER = datetime.max.replace(tzinfo=UTC)

SOON_DAYS = 60
"""A retirement that is nearer than this is worth a word."""


@dataclass(frozen=True)
class Offer:
    """One model in one region: `problem` says why it cannot be used ("": it can), `remedy` what to do.

    `retires`: the date on demand as the service tells it, None where it tells none. `note`: what to know.
    """

    model: str
    region: str
    retires: datetime | None
    problem: str = ""
    remedy: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.model,
            "region": self.region,
            "offered": not self.problem,
            "retires": self.retires.date().isoformat() if self.retires else None,
            "problem": self.problem,
            "remedy": self.remedy,
            "note": self.note,
        }


@dataclass(frozen=True)
class Listed:
    """An entry of the service's list of models: those that can chat."""

    name: str
    active: bool
    retires: datetime | None


def judge(listed: Sequence[Listed], model: str, region: str, now: datetime) -> Offer:
    """Whether `model` can be used in `region` at the moment `now`."""
    entries = [entry for entry in listed if entry.name == model and entry.active]
    # A version that stays is the one that answers, also where an older one of the same name is listed.
    found = max(entries, key=lambda entry: entry.retires or _NEVER, default=None)
    there = ", ".join(sorted({entry.name for entry in listed if entry.active})) or "no model that chats"
    if found is None:
        return Offer(
            model,
            region,
            None,
            f"the region {region} does not offer {model}",
            f"it offers {there}: name one of these, or another region",
        )
    if found.retires is None:
        return Offer(model, region, None)
    day = found.retires.astimezone(UTC).date().isoformat()
    days = (found.retires - now).days
    if found.retires <= now:
        return Offer(
            model,
            region,
            found.retires,
            f"{model} was retired on demand on {day} in {region}",
            f"the region offers {there}",
        )
    note = f"it will be retired on demand on {day}, in {days} days" if days < SOON_DAYS else ""
    return Offer(model, region, found.retires, note=note)
