"""What a plan says: steps, refusals, and the figures behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sightline.plan.render import plan_text

Action = Literal["keep", "make", "change", "refuse"]


@dataclass(frozen=True, slots=True)
class Objection:
    """What a check finds wrong, why that matters, and what to do about it."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to begin: an objection with the check that made it and the step that it stops."""

    check: str
    step: str
    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that ends up on the host, and what will be done about it."""

    name: str
    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a sum of bytes, with its name."""

    what: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done on one host, worked out before anything is touched.

    `fetch`, `disk`, `memory` and `gpu` (its memory) are the parts of each sum, in bytes; `disk_free`,
    `memory_there` and `gpu_there` (of one GPU) are what the host has, None where it could not be read. `fit`
    is how the model fits the GPU and what would instead (fit.py), None without a GPU or a new server.
    `python` is the interpreter that the environment is to be built with and how it comes (a PythonChoice as
    plain values), None where none is needed or none will do.
    `host` is what is done about driver and CUDA (a HostSide as plain values), None where it cannot be told.
    """

    model: str
    release: str
    engine: str
    root: str
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...]
    fetch: tuple[Share, ...]
    disk: tuple[Share, ...]
    memory: tuple[Share, ...]
    gpu: tuple[Share, ...]
    gpu_there: int | None
    fit: dict[str, Any] | None
    disk_free: int | None
    memory_there: int | None
    python: dict[str, Any] | None
    host: dict[str, Any] | None

    @property
    def ok(self) -> bool:
        """True when nothing stands in the way."""
        return not self.refusals

    @property
    def changes(self) -> bool:
        """True when following the plan changes the host."""
        return any(step.action in ("make", "change") for step in self.steps)

    @property
    def fetch_bytes(self) -> int:
        """Bytes that travel to the host."""
        return sum(share.bytes for share in self.fetch)

    @property
    def disk_bytes(self) -> int:
        """Bytes that must be free on the filesystem of the root."""
        return sum(share.bytes for share in self.disk)

    @property
    def memory_bytes(self) -> int:
        """Bytes of main memory that the server takes."""
        return sum(share.bytes for share in self.memory)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON values, sums included."""
        plain = asdict(self) | {
            "schema": 1,
            "ok": self.ok,
            "changes": self.changes,
            "fetch_bytes": self.fetch_bytes,
            "disk_bytes": self.disk_bytes,
            "memory_bytes": self.memory_bytes,
        }
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    def as_text(self) -> str:
        """Return the plan as a table for people."""
        return plan_text(self)
