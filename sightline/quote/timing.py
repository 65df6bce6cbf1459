"""The way to the first answer as stages, each with its seconds and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sightline.fit import Card, Estimate
from sightline.fit.terms import counted
from sightline.plan.render import human_bytes
from sightline.plan.situation import file_bytes
from sightline.quote.speed import Speed

LINE_SHARE = 0.9
"""Share of a line's rate that files arrive at: headers take some, and 0.9 is this kit's own budget."""
BUILD_RATE = 20e6
"""Bytes a second at which an environment comes to lie on the disk. Measured here on 2 cores
(docs/measured.md): 1.25 GB in 59 s, 6.15 GB in 5 min 16 s, with the downloads from a near mirror."""
DISK_RATE = 1e9
"""Bytes a second that weights are read at where nobody says: a plain NVMe disk. An assumption."""
START_SECONDS = 25
"""Starting service and server, without loading weights; measured here on 2 cores (docs/measured.md)."""
_LANES = 16
_PCIE_SHARE = 0.75
_PCIE_LANE = {3: 0.985e9, 4: 1.969e9, 5: 3.938e9}
"""Bytes a second of one lane by PCIe generation, coding taken off; copies reach about three quarters."""

Sure = Literal["given line", "measured", "estimate"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what happens, bytes that move (None: none to count), seconds (None: not known), and why."""

    name: str
    bytes: int | None
    seconds: float | None
    sure: Sure
    says: str

    def to_dict(self) -> dict[str, Any]:
        """Return the stage as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rates:
    """What is known of the machine: bytes a second of the line (None: not known) and of the disk."""

    line: float | None
    disk: float = DISK_RATE


def stages(
    model: Mapping[str, Any],
    release: Mapping[str, Any] | None,
    estimate: Estimate,
    card: Card,
    rates: Rates,
    speed: Speed | None,
    answer_tokens: int,
) -> list[Stage]:
    """Return the stages one after another, from a fresh machine to the first answer with its pictures.

    `release` is None where no release of this kit carries the engine: its environment is not counted then.
    """
    found = []
    if model["source"]["kind"] != "repository":
        found.append(_download("download the model", sum(map(file_bytes, model["files"])), rates))
    if release is not None:
        if wheels := release["disk"]["download_bytes"]:
            found.append(_download("download the environment", wheels, rates))
        size = release["disk"]["environment_bytes"]
        says = f"{human_bytes(size)} at {human_bytes(int(BUILD_RATE))}/s (seen on 2 cores)"
        found.append(Stage("build the environment", size, size / BUILD_RATE, "estimate", says))
    weights = estimate.terms[0].bytes
    rate = min(rates.disk, _LANES * _PCIE_SHARE * _PCIE_LANE.get(card.pcie or 3, _PCIE_LANE[5]))
    says = f"{human_bytes(weights)} at {human_bytes(int(rate))}/s"
    found.append(Stage("load the weights", weights, weights / rate, "estimate", says))
    found.append(Stage("start the server", None, START_SECONDS, "estimate", "seen on 2 cores"))
    answer = speed.answer(answer_tokens) if speed else None
    says = (
        f"{counted(estimate.workload.pictures, 'picture')}, {answer_tokens} tokens of answer; roofline"
        if speed
        else "the card's peaks are not known (catalogue/gpus.yml)"
    )
    found.append(Stage("first answer", None, answer, "estimate", says))
    return found


def total_seconds(found: list[Stage]) -> float | None:
    """Return the sum; None without stages, or where one's time (save that of the answer) is not known."""
    if not found or any(stage.seconds is None for stage in found if stage.name != "first answer"):
        return None
    return sum(stage.seconds or 0 for stage in found)


def _download(name: str, size: int, rates: Rates) -> Stage:
    if rates.line is None:
        return Stage(name, size, None, "estimate", "the line's rate is not known (--line)")
    says = f"{human_bytes(size)} at {LINE_SHARE:.0%} of the line"
    return Stage(name, size, size / (rates.line * LINE_SHARE), "given line", says)
