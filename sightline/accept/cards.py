"""The box's GPUs as nvidia-smi lists them: more of each than a deployment asks, since it may be sent back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from sightline.accept.sections import Said
from sightline.hostside import ANSWERED, parse_log, read_log

_MIB = 2**20


@dataclass(frozen=True)
class GpuProcess:
    """A program on a GPU. `ours`: it runs in this box, by name and number; else somebody else's does."""

    pid: int
    name: str
    memory_bytes: int | None
    ours: bool


@dataclass(frozen=True)
class Card:
    """One GPU. What a card does not have, or a driver does not tell, is None. Memory is bytes, power watts.

    `width_max` and `generation_max` are what card and slot can do together, `generation_card` what the card
    alone can; `slowed` are reasons for lower clocks as nvidia-smi names them. `links` are the speeds of the
    NVLinks in GB/s, 0 for one that is down.
    """

    name: str
    driver: str | None
    memory_bytes: int | None
    used_bytes: int | None
    utilisation: int | None
    temperature: int | None
    state: str | None
    slowed: tuple[str, ...]
    ecc_volatile: int | None
    ecc_aggregate: int | None
    rows_failed: bool
    rows_pending: bool
    width: int | None
    width_max: int | None
    generation: int | None
    generation_max: int | None
    generation_card: int | None
    power_limit: float | None
    power_default: float | None
    fabric: str | None
    mig: bool
    processes: tuple[GpuProcess, ...] = ()
    links: tuple[float, ...] = ()


@dataclass(frozen=True)
class Smi:
    """What came of asking nvidia-smi; `path` is None where there is none. `cuda`: the driver's newest."""

    path: str | None
    code: int | None
    said: str | None
    cuda: str | None
    cards: tuple[Card, ...]


def read_cards(said: Said) -> Smi:
    """From the sections smi, nvlink and processes of facts.sh."""
    path, section = next(iter(said.under("smi")), (None, None))
    if section is None:
        return Smi(None, None, None, None, ())
    # What it says on stderr may stand before the list.
    before, start, answer = section.text.rpartition("<?xml")
    log, rest = parse_log(start + answer)
    rest = f"{before}\n{rest}"
    first = next((line.strip() for line in rest.splitlines() if line.strip()), None)
    if log is None or section.code not in ANSWERED:
        return Smi(path, section.code, (first or "no answer")[:200], None, ())
    here = dict(line.split(" ", 1) for line in said.text("processes").splitlines() if " " in line)
    links = _links(said.text("nvlink"))
    elements = list(log.iter("gpu"))
    cards = tuple(
        _card(facts, element, here, links.get(position, ()))
        for position, (facts, element) in enumerate(zip(read_log(log), elements, strict=True))
    )
    return Smi(path, section.code, first, _text(log, "cuda_version"), cards)


def _card(
    facts: dict[str, Any], gpu: ElementTree.Element, here: dict[str, str], links: tuple[float, ...]
) -> Card:
    pcie, ecc = facts["pcie"], facts["ecc"]
    power = "gpu_power_readings" if gpu.find("gpu_power_readings") is not None else "power_readings"
    return Card(
        name=facts["name"] or "a GPU without a name",
        driver=facts["driver"],
        memory_bytes=facts["memory_bytes"],
        used_bytes=_mib(_text(gpu, "fb_memory_usage/used")),
        utilisation=_whole(_text(gpu, "utilization/gpu_util")),
        temperature=_whole(_text(gpu, "temperature/gpu_temp")),
        state=_text(gpu, "performance_state"),
        slowed=tuple(facts["clock_reasons"]),
        ecc_volatile=ecc["volatile_uncorrected"],
        ecc_aggregate=ecc["aggregate_uncorrected"],
        rows_failed=_text(gpu, "remapped_rows/remapped_row_failure") == "Yes",
        rows_pending="Yes"
        in (_text(gpu, "remapped_rows/remapped_row_pending"), _text(gpu, "retired_pages/pending_retirement")),
        width=pcie["width"],
        width_max=pcie["width_max"],
        generation=pcie["generation"],
        generation_max=pcie["generation_max"],
        generation_card=_whole(_text(gpu, "pci/pci_gpu_link_info/pcie_gen/max_device_link_gen")),
        power_limit=_watts(_text(gpu, f"{power}/current_power_limit") or _text(gpu, f"{power}/power_limit")),
        power_default=_watts(_text(gpu, f"{power}/default_power_limit")),
        fabric=facts["fabric"],
        mig=bool(facts["mig"]),
        processes=tuple(_processes(gpu, here)),
        links=links,
    )


def _processes(gpu: ElementTree.Element, here: dict[str, str]) -> Iterator[GpuProcess]:
    for entry in gpu.iterfind("processes/process_info"):
        pid, name = _text(entry, "pid") or "0", _text(entry, "process_name") or "?"
        # The number may be one of the machine beneath, where another program has it: the name must fit too.
        # The kernel keeps 15 characters of a name (proc(5), comm).
        ours = here.get(pid, "\0") == name.split(" ")[0].rpartition("/")[2][:15]
        yield GpuProcess(int(pid), name, _mib(_text(entry, "used_memory")), ours)


def _links(said: str) -> dict[int, tuple[float, ...]]:
    """Links' speeds of each GPU, from `nvidia-smi nvlink --status`: `Link 0: 26.562 GB/s`, `<inactive>`."""
    found: dict[int, tuple[float, ...]] = {}
    gpu = None
    for line in said.splitlines():
        if head := re.match(r"GPU (\d+):", line):
            gpu = int(head[1])
        elif gpu is not None and (link := re.match(r"\s+Link \d+: (?:([\d.]+) GB/s|<inactive>)", line)):
            found[gpu] = (*found.get(gpu, ()), float(link[1] or 0))
    return found


def _text(place: ElementTree.Element, path: str) -> str | None:
    said = (place.findtext(path) or "").strip()
    return said if said and said not in ("N/A", "[N/A]", "Not Found", "Unknown Error") else None


def _whole(said: str | None) -> int | None:
    found = re.match(r"\d+", said or "")
    return int(found[0]) if found else None


def _watts(said: str | None) -> float | None:
    found = re.match(r"[\d.]+", said or "")
    return float(found[0]) if found else None


def _mib(said: str | None) -> int | None:
    found = re.fullmatch(r"(\d+) MiB", said or "")
    return int(found[1]) * _MIB if found else None
