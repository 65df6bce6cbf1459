"""The way to the first answer as stages, each with its seconds and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sightline.fit import Card
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


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, in bytes; None for what there is not. `starts`: the server is (re)started."""

    model: int | None
    wheels: int | None
    environment: int | None
    weights: int | None
    starts: bool


def fresh_work(model: Mapping[str, Any], release: Mapping[str, Any] | None, weights: int) -> Work:
    """Return the work on a fresh machine; without a release its environment is not counted."""
    from_hub = model["source"]["kind"] != "repository"
    return Work(
        model=sum(map(file_bytes, model["files"])) if from_hub else None,
        wheels=release["disk"]["download_bytes"] if release else None,
        environment=release["disk"]["environment_bytes"] if release else None,
        weights=weights,
        starts=True,
    )


def stages(
    work: Work, rates: Rates, card: Card | None, speed: Speed | None, pictures: int, answer_tokens: int
) -> list[Stage]:
    """Return the stages one after another, to the first answer with its pictures; none where no work is."""
    found = []
    if work.model:
        found.append(_download("download the model", work.model, rates))
    if work.wheels:
        found.append(_download("download the environment", work.wheels, rates))
    if size := work.environment:
        says = f"{human_bytes(size)} at {human_bytes(int(BUILD_RATE))}/s (seen on 2 cores)"
        found.append(Stage("build the environment", size, size / BUILD_RATE, "estimate", says))
    if work.weights:
        rate = min(rates.disk, _bus(card))
        says = f"{human_bytes(work.weights)} at {human_bytes(int(rate))}/s"
        found.append(Stage("load the weights", work.weights, work.weights / rate, "estimate", says))
    if work.starts:
        found.append(Stage("start the server", None, START_SECONDS, "estimate", "seen on 2 cores"))
    if found and work.starts:
        answer = speed.answer(answer_tokens) if speed else None
        says = f"{counted(pictures, 'picture')}, {answer_tokens} tokens of answer; roofline"
        unknown = "the peaks are not known (catalogue/gpus.yml)" if card else "not known on a CPU"
        found.append(Stage("first answer", None, answer, "estimate", says if speed else unknown))
    return found


def _bus(card: Card | None) -> float:
    """Bytes a second to the card; without one weights go no further than main memory."""
    if card is None:
        return float("inf")
    return _LANES * _PCIE_SHARE * _PCIE_LANE.get(card.pcie or 3, _PCIE_LANE[5])


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
