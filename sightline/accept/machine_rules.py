"""Rules about the machine: GPUs and driver that the model asks for, memory, architecture, clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sightline.accept.cards import Card
from sightline.accept.findings import Examined, Finding
from sightline.accept.needs import Needs
from sightline.catalogue import load_model
from sightline.fit import card_listed_as, cards_of_host, fit_on
from sightline.plan.clock import MOST_SECONDS
from sightline.plan.gpu import kernels_for
from sightline.plan.render import human_bytes
from sightline.plan.versions import version_tuple

TOLD_SKEW = 5
"""Seconds of clock skew that are worth a word; what is wrong from MOST_SECONDS on, plan refuses too."""


def gpus(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """There are GPUs where the model needs one, all that are plugged in answer, their memory is enough."""
    smi, on_bus = examined.box.smi, examined.box.cards_on_bus
    if not smi.cards:
        yield _without(examined, needs)
        return
    kinds: dict[str, int] = {}
    for card in smi.cards:
        size = human_bytes(card.memory_bytes) if card.memory_bytes else "memory not told"
        kinds[f"{card.name}, {size}"] = kinds.get(f"{card.name}, {size}", 0) + 1
    found = "; ".join(f"{count} x {kind}" for kind, count in kinds.items())
    yield _room(found, smi.cards, needs)
    if examined.box.container is None and on_bus and on_bus > len(smi.cards):
        yield Finding(
            "GPUs on the bus",
            "bad",
            f"{on_bus} plugged in, {len(smi.cards)} answer",
            "all answer",
            "the others are broken, or given to somebody else",
            "return the box",
        )


def _room(found: str, cards: Sequence[Card], needs: Needs) -> Finding:
    """Whether the model fits the cards: by the plan's estimate, else by the least that is known."""
    if needs.gpu_bytes is None:
        return Finding("GPUs", "good", found, "the model needs none")
    wanted = f"{human_bytes(needs.gpu_bytes)} ({needs.gpu_from})"
    remedy = "rent more or larger GPUs, or take a smaller or more quantised model"
    if any(not card.memory_bytes for card in cards):
        return Finding("GPUs", "unclear", found, wanted, "the driver does not tell a card's memory")
    together = cards_of_host([{"name": card.name, "memory_bytes": card.memory_bytes} for card in cards])
    if needs.estimate is None or together is None:
        if sum(card.memory_bytes or 0 for card in cards) < needs.gpu_bytes:
            return Finding("GPUs", "bad", found, wanted, f"{needs.model} does not fit", remedy)
        return Finding("GPUs", "good", found, wanted)
    fit = fit_on(load_model(needs.model), needs.estimate.engine, needs.estimate.workload, together)
    if fit.outcome == "does not fit":
        each = f"{human_bytes(fit.room)} a card for programs, {human_bytes(fit.needed)} needed"
        why = fit.context_trouble or f"{needs.model} does not fit: {each}"
        remedy = f"{remedy}; scripts/plan --model {needs.model} --gpu ... says what would fit"
        return Finding("GPUs", "bad", found, wanted, why, remedy)
    if fit.outcome == "uncertain":
        certain = f"{human_bytes(fit.certain)} are certain, {human_bytes(fit.needed)} estimated from above"
        return Finding("GPUs", "note", found, wanted, f"it may not fit: {certain} (docs/plan.md)")
    return Finding("GPUs", "good", found, wanted)


def _without(examined: Examined, needs: Needs) -> Finding:
    smi, box = examined.box.smi, examined.box
    if smi.path is None:
        found = "no nvidia-smi" + (f", {box.cards_on_bus} card(s) plugged in" if box.cards_on_bus else "")
    else:
        ended = "did not end" if smi.code is None else f"ends with {smi.code}"
        found = f"nvidia-smi {ended}: {smi.said or 'no card'}"
    if needs.gpu_bytes is None:
        return Finding("GPUs", "good", found, "the model needs none")
    if smi.path is None and box.cards_on_bus and box.container is None:
        return Finding(
            "GPUs",
            "unclear",
            found,
            human_bytes(needs.gpu_bytes),
            "without a driver nobody can look at the card",
            "let Sightline put a driver there (docs/gpu-host.md), then run this again",
        )
    return Finding(
        "GPUs",
        "bad",
        found,
        f"{human_bytes(needs.gpu_bytes)} ({needs.gpu_from})",
        f"{needs.model} needs a GPU and this box gives none",
        "start the box again with a GPU; if the house has none left, return it",
    )


def driver(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The driver is at or above the release's floor; one that the house put in cannot be replaced."""
    box, floor = examined.box, needs.driver_floor
    if not box.smi.cards:
        return
    version = box.driver or "not told"
    newest = f", CUDA up to {box.smi.cuda}" if box.smi.cuda else ""
    if floor is None:
        yield Finding("driver", "good", f"{version}{newest}", "no floor")
    elif not box.driver or not version_tuple(box.driver):
        yield Finding("driver", "unclear", version, floor, "nobody can tell whether CUDA programs will start")
    elif version_tuple(box.driver) >= version_tuple(floor):
        yield Finding("driver", "good", f"{version}{newest}", floor)
    elif box.container is not None or box.driver_state == "injected" or not (box.root or box.sudo):
        yield Finding(
            "driver",
            "bad",
            f"{version}{newest}",
            f"{floor} (release {needs.release})",
            "it belongs to the machine beneath and cannot be replaced from inside",
            "choose a box with a newer driver",
        )
    else:
        yield Finding(
            "driver",
            "note",
            f"{version}{newest}",
            f"{floor} (release {needs.release})",
            "it is too old, but yours to replace",
            "let Sightline replace it (docs/gpu-host.md)",
        )


def kernels(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The release has kernels for the cards, as far as they are known cards."""
    release = {"name": needs.release, "gpu_compute": needs.gpu_compute}
    for name in sorted({card.name for card in examined.box.smi.cards}):
        known = card_listed_as(name)
        for objection in kernels_for(release, known) if known else ():
            yield Finding("kernels", "bad", name, objection.what, objection.why, "choose another card")


def architecture(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """There are wheels for the processor."""
    found, wanted = examined.box.architecture, needs.architectures
    good = not wanted or found in wanted
    yield Finding(
        "architecture",
        "good" if good else "bad",
        found,
        " or ".join(wanted),
        "" if good else f"release {needs.release} holds no packages for it",
        "" if good else "return the box",
    )


def memory(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """Main memory is enough, as far as the box may use it: a container shows the whole machine's."""
    box = examined.box
    if box.memory_bytes is None:
        yield Finding("memory", "unclear", "not told", human_bytes(needs.memory_bytes))
        return
    shown = (
        f" (the machine has {human_bytes(box.memory_shown)})" if box.memory_limit and box.memory_shown else ""
    )
    found = human_bytes(box.memory_bytes) + shown
    if box.memory_bytes >= needs.memory_bytes:
        yield Finding("memory", "good", found, human_bytes(needs.memory_bytes))
        return
    why = (
        "the kernel kills what takes more than the box's own limit"
        if box.memory_limit
        else "the server would not fit"
    )
    yield Finding(
        "memory", "bad", found, human_bytes(needs.memory_bytes), why, "rent a box with more main memory"
    )


def clock(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The clock is about ours; one that is wrong and cannot be set from inside makes every download fail."""
    skew, box = examined.skew, examined.box
    wanted = f"within {MOST_SECONDS} s of ours"
    if skew is None:
        yield Finding("clock", "unclear", "not told", wanted)
        return
    size = abs(skew.seconds)
    found = f"{size:.1f} s {'ahead' if skew.seconds > 0 else 'behind'} (give or take {skew.uncertain:.1f} s)"
    why = "certificates and signed package lists seem expired or not valid yet, so downloads fail"
    if size - skew.uncertain <= MOST_SECONDS:
        small = size - skew.uncertain <= TOLD_SKEW
        yield Finding("clock", "good" if small else "note", found, wanted)
    elif box.container is None and (box.root or box.sudo):
        yield Finding(
            "clock", "note", found, wanted, why, "set it (timedatectl set-ntp true), or mend your own"
        )
    else:
        yield Finding(
            "clock",
            "bad",
            found,
            wanted,
            why,
            "it is the machine's and cannot be set from here: return the box",
        )


def told(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """What no rule judges, but a person wants to know."""
    box = examined.box
    count = f"{box.processors:g} x " if box.processors else ""
    yield Finding("processors", "good", f"{count}{box.processor}")
    who = "root" if box.root else f"{box.user}, {'with' if box.sudo else 'without'} sudo"
    yield Finding("login", "good", who)
    kind = (
        f"container ({box.container})"
        if box.container
        else f"virtual machine ({box.vm})"
        if box.vm
        else "bare metal"
    )
    yield Finding("system", "good", f"{box.distribution}, kernel {box.kernel}, {kind}")
    init = "systemd" if box.init == "systemd" else "none: the service runs under supervisord"
    yield Finding("init", "good", init)
    ports = ", ".join(f"{inside} is {outside} outside" for inside, outside in sorted(box.ports.items()))
    open_ports = ", ".join(map(str, box.listening)) or "none seen"
    yield Finding("ports", "good", f"open inside: {open_ports}" + (f"; mapped: {ports}" if ports else ""))
