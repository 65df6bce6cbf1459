"""What is to be done about a host's driver, CUDA toolkit, cuDNN and container toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sightline.plan.gpu_side import GpuSide, gpu_side, needs_gpu
from sightline.plan.host_sources import (
    CUDA_FLOORS,
    NAMED_NVIDIA,
    OLDEST_FOR_OPEN,
    SOURCES,
    HostSource,
)
from sightline.plan.outcome import Step
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation
from sightline.plan.versions import version_tuple

Doing = Literal["none", "keep", "install"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done about one thing. `none`: nothing of ours; `keep`: it is ours and whole; `install`.

    `source`: where from, "" where none has it. `version`: wanted. `why`: in words.
    """

    doing: Doing = "none"
    source: str = ""
    version: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class HostSide:
    """All choices. `kind` is the driver's kernel module to begin with; `fabric_manager` for NVSwitch.

    `starts_driver`: one is installed, or one of ours is loaded; only then the cards can be seen.
    """

    driver: Choice
    cuda: Choice
    cudnn: Choice
    container_toolkit: Choice
    floor: str
    kind: Literal["open", "proprietary"]
    fabric_manager: bool
    starts_driver: bool

    def parts(self) -> dict[str, Choice]:
        """The choices by name, in the order in which they are carried out."""
        return {
            "driver": self.driver,
            "cuda": self.cuda,
            "cudnn": self.cudnn,
            "container_toolkit": self.container_toolkit,
        }

    @property
    def installs(self) -> list[str]:
        """Names of what will be installed."""
        return [name for name, choice in self.parts().items() if choice.doing == "install"]

    def to_dict(self) -> dict[str, Any]:
        """Return the choices as plain JSON values, for the roles."""
        return asdict(self) | {"installs": self.installs}


def host_side(there: Situation) -> HostSide:
    """Decide about each part.

    Raises:
        Unreadable: the facts say nothing of GPUs or driver.
    """
    if not _wanted(there):
        nothing = Choice()
        return HostSide(nothing, nothing, nothing, nothing, "", "open", False, False)
    side = gpu_side(there)
    driver = _driver(there, side)
    devices = [device_id(card) for card in read_or_none(there.facts, "pci.gpus", list) or []]
    old = any(number is not None and number < OLDEST_FOR_OPEN for number in devices)
    return HostSide(
        driver=driver,
        cuda=_cuda(there, driver),
        cudnn=_cudnn(there),
        container_toolkit=_container_toolkit(there),
        floor=_floor(there),
        kind="proprietary" if old else "open",
        fabric_manager=bool(read_or_none(there.facts, "pci.nvswitches", list)),
        starts_driver=driver.doing == "install" or (driver.doing == "keep" and side.dark_cards),
    )


def driver_is_to_come(there: Situation) -> bool:
    """Whether a driver is still to be installed or loaded: what is wrong with it now is no objection then.

    Never on the second look, after that was done (settings `host.done`).

    Raises:
        Unreadable: the facts say nothing of GPUs or driver.
    """
    return not allowed(there, "done") and host_side(there).starts_driver


def host_steps(there: Situation) -> list[Step]:
    """Say what is to be done about each part that matters here; none on a host without GPU.

    Raises:
        Unreadable: the facts say nothing of GPUs or driver.
    """
    return [
        Step(name, "make" if choice.doing == "install" else "keep", choice.why)
        for name, choice in host_side(there).parts().items()
        if choice.doing != "none"
    ]


def wish(there: Situation, name: str) -> str:
    """Return what a person asked for: settings `host.<name>`, "auto" where nothing was said."""
    return read_or_none(there.settings, f"host.{name}", str) or "auto"


def allowed(there: Situation, name: str) -> bool:
    """Whether a person allowed it: settings `host.<name>`."""
    return bool(read_or_none(there.settings, f"host.{name}", bool))


def sources(there: Situation) -> tuple[HostSource, ...]:
    """The sources of this distribution, narrowed to the one that a person named."""
    place = (
        read_or_none(there.facts, "distribution.id", str) or "",
        read_or_none(there.facts, "distribution.version", str) or "",
    )
    known = SOURCES.get(place, ())
    named = wish(there, "source")
    if named == "auto":
        return known
    chosen = tuple(source for source in known if source.name == named)
    return chosen or ((NAMED_NVIDIA,) if named == "nvidia" else ())


def device_id(card: object) -> int | None:
    """A card's PCI device id as a number."""
    said = read_or_none(card, "device", str) or ""
    try:
        return int(said, 16)
    except ValueError:
        return None


def recorded(there: Situation, name: str) -> Mapping[str, Any] | None:
    """What the probe found of a set that Sightline brought before."""
    return read_or_none(there.facts, f"host_sets.{name}", dict)


def _wanted(there: Situation) -> bool:
    """Whether anything of this concerns the host: a release for CPUs has no business with it."""
    asked = (wish(there, "driver") == "install", allowed(there, "container_toolkit"))
    named = (wish(there, name) not in ("auto", "none") for name in ("cuda", "cudnn"))
    return needs_gpu(there) or any(asked) or any(named)


def _driver(there: Situation, side: GpuSide) -> Choice:
    asked = wish(there, "driver")
    wanted = asked == "install" or needs_gpu(there)
    if not wanted or asked == "keep" or side.boxed:
        return Choice()
    floor = _floor(there)
    ours = recorded(there, "driver")
    if ours:
        return _ours(ours, f"{floor} or newer" if floor else "", "the driver that Sightline installed")
    if side.state == "installed" or not (side.dark_cards or asked == "install"):
        return Choice()
    found = next((source for source in sources(there) if _serves_driver(source, side, floor, there)), None)
    if found is None:
        return Choice("install", "", floor, "no source has it")
    return Choice(
        "install",
        found.name,
        found.driver,
        f"{found.driver} from {_told(found)}, kernel module built by DKMS",
    )


def _serves_driver(source: HostSource, side: GpuSide, floor: str, there: Situation) -> bool:
    switches = bool(read_or_none(there.facts, "pci.nvswitches", list))
    new_enough = (
        not floor or version_tuple(source.driver) >= version_tuple(floor)[: len(version_tuple(source.driver))]
    )
    return new_enough and (source.fabric_manager or not switches)


def _cuda(there: Situation, driver: Choice) -> Choice:
    asked = wish(there, "cuda")
    auto = asked == "auto"
    version = (there.release["cuda"] or "") if auto else asked
    if asked == "none" or not version:
        return Choice()
    ours = recorded(there, "cuda")
    # Unasked it only comes with the driver, to a bare machine: PyTorch does not need it.
    if auto and driver.doing == "none":
        return Choice()
    if ours:
        return _ours(ours, version, f"the CUDA toolkit {version} that Sightline installed")
    for toolkit in read_or_none(there.facts, "toolkit.cuda", list) or []:
        found = read_or_none(toolkit, "version", str) or ""
        if read_or_none(toolkit, "nvcc", bool) and f"{found}.".startswith(f"{version}."):
            return Choice()
    source = next((source for source in sources(there) if version in source.cuda), None)
    if source is None:
        # Nobody asked for it, and PyTorch brings CUDA's libraries itself: a note says so.
        return Choice() if auto else Choice("install", "", version, "no source has it")
    return Choice("install", source.name, version, f"CUDA toolkit {version} from {_told(source)}")


def _cudnn(there: Situation) -> Choice:
    asked = wish(there, "cudnn")
    if asked in ("auto", "none"):
        return Choice()
    version = there.release["cudnn"] or "9.1.0.70"
    ours = recorded(there, "cudnn")
    if ours:
        return _ours(ours, version, f"cuDNN {version} that Sightline installed")
    return Choice("install", asked, version, f"cuDNN {version} for the whole system, {asked}")


def _container_toolkit(there: Situation) -> Choice:
    if not allowed(there, "container_toolkit"):
        return Choice()
    ours = recorded(there, "container_toolkit")
    if ours:
        return _ours(ours, "", "the container toolkit that Sightline installed")
    return Choice("install", "nvidia", "", "NVIDIA's container toolkit from NVIDIA's repository")


def _ours(ours: Mapping[str, Any], version: str, what: str) -> Choice:
    source = str(ours.get("source") or "")
    if ours.get("whole"):
        return Choice("keep", source, version, f"{what} is whole")
    return Choice("install", source, version, f"{what} has to be mended: {ours.get('wrong')}")


def _floor(there: Situation) -> str:
    """The lowest driver that will do: the release's, or that of the CUDA that was asked for."""
    if there.release["driver"]:
        return str(there.release["driver"]["floor"])
    return CUDA_FLOORS.get(wish(there, "cuda"), "")


def _told(source: HostSource) -> str:
    names = {"debian": "Debian's own packages", "ubuntu": "Ubuntu's server packages"}
    return names.get(source.name, "NVIDIA's repository") + ("" if source.tried else " (not run here)")
