"""What the proxy's hooks and doors share: LiteLLM imports them by name, so they find it here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sightline_gateway.keys import KeyRing, Minutes
from sightline_gateway.settings import Settings
from sightline_gateway.watch import Watch


@dataclass(frozen=True)
class Running:
    settings: Settings
    keys: KeyRing
    watch: Watch
    replica_keys: Path | None = None
    minutes: Minutes = field(default_factory=Minutes)


_now: list[Running] = []


def run_with(running: Running) -> None:
    """To be called once, before the proxy starts."""
    _now[:] = [running]


def now() -> Running:
    return _now[0]
