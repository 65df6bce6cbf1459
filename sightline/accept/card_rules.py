"""Rules about the GPUs themselves: errors, heat, power, the bus, the links, and who else is on them.

They hold for every card that the box shows, also where the model needs none: a broken card is not what was
rented.
"""

from __future__ import annotations

from collections.abc import Iterator

from sightline.accept.cards import Card
from sightline.accept.findings import Examined, Finding
from sightline.accept.needs import Needs
from sightline.plan.render import human_bytes

HARMFUL = {
    "hw_slowdown": "the board's own protection",
    "hw_thermal_slowdown": "heat",
    "hw_power_brake_slowdown": "the power supply's brake",
    "sw_thermal_slowdown": "heat",
}
"""Reasons for lower clocks that are a fault of the machine. Idling, a power cap and clocks that were set are
none: the first two come and go with the load (NVML's nvmlClocksEventReasons)."""

LEAST_POWER = 0.75
"""Share of the card's own power limit below which it was throttled on purpose: prefill, which is bound by
arithmetic, slows about as much; decoding, which is bound by memory, much less."""

LEAST_WIDTH = 8
"""PCIe lanes. Boards for several cards give each x8 and nobody notices; x4 and x1 are risers of mining rigs,
where loading a model takes minutes and two cards cannot work as one."""

IDLE_MEMORY = 1024 * 2**20
"""Bytes in use on a card that nobody uses: the driver itself takes up to some hundred MiB."""

IDLE_LOAD = 10
"""Per cent of utilisation that a card shows while nobody uses it, at most."""


def memory_errors(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """No uncorrected memory errors since the driver was loaded, and spare rows left for those of before."""
    for who, card in _cards(examined):
        if card.ecc_volatile:
            yield Finding(
                f"{who} memory errors",
                "bad",
                f"{card.ecc_volatile} uncorrected",
                "none since the driver was loaded",
                "an uncorrected error ends the program that meets it, and more follow",
                "return the box, or have the house reset or change the card",
            )
        elif card.rows_failed:
            yield Finding(
                f"{who} memory errors",
                "bad",
                "a damaged row could not be replaced",
                "spare rows",
                "NVIDIA takes such a card back",
                "return the box",
            )
        elif card.rows_pending:
            yield Finding(
                f"{who} memory errors",
                "bad",
                "damaged memory waits to be replaced",
                "nothing waiting",
                "until the card is reset, its damaged memory is in use",
                "have the house reset the card, or return the box",
            )
        elif card.ecc_aggregate:
            yield Finding(
                f"{who} memory errors",
                "note",
                f"none now, {card.ecc_aggregate} in its life",
                "none now",
                "the damaged rows were replaced; a card that had errors is likelier to have more",
            )
        elif card.ecc_volatile is None:
            yield Finding(f"{who} memory errors", "good", "not counted (no ECC)")
        else:
            yield Finding(f"{who} memory errors", "good", "none", "none since the driver was loaded")


def slowdown(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The card's clocks are not held down by a fault, and its power limit is about its own."""
    for who, card in _cards(examined):
        causes = list(dict.fromkeys(HARMFUL[name] for name in HARMFUL if name in card.slowed))
        heat = f", {card.temperature} degrees" if causes and card.temperature is not None else ""
        if causes:
            yield Finding(
                f"{who} clocks",
                "bad",
                f"slowed by {' and '.join(causes)}{heat}",
                "no slowdown by hardware or heat",
                "it will be slower still under load",
                "return the box",
            )
        else:
            reasons = [name.replace("_", " ").removeprefix("gpu ") for name in card.slowed]
            yield Finding(f"{who} clocks", "good", f"free ({', '.join(reasons)})" if reasons else "free")
        if card.power_limit and card.power_default:
            share = card.power_limit / card.power_default
            found = f"{card.power_limit:.0f} of {card.power_default:.0f} W"
            if share < LEAST_POWER:
                yield Finding(
                    f"{who} power limit",
                    "bad",
                    found,
                    f"{LEAST_POWER:.0%} of the card's own",
                    "it was rented out as a card that it cannot be",
                    "return the box, or ask the house to lift the limit",
                )
            else:
                yield Finding(
                    f"{who} power limit", "good" if share >= 1 else "note", found, f"{LEAST_POWER:.0%}"
                )


def bus(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The card has enough PCIe lanes. The generation falls at rest, so that only the possible one counts."""
    for who, card in _cards(examined):
        if card.width is None:
            yield Finding(f"{who} PCIe", "note", "not told", f"x{LEAST_WIDTH}")
            continue
        found = f"x{card.width}" + (
            f" of x{card.width_max}" if card.width_max not in (None, card.width) else ""
        )
        if card.generation_max:
            found += f", generation {card.generation_max}"
        slot = (
            f"; the card could do generation {card.generation_card}"
            if card.generation_card and card.generation_max and card.generation_max < card.generation_card
            else ""
        )
        if card.width < LEAST_WIDTH:
            yield Finding(
                f"{who} PCIe",
                "bad",
                found,
                f"x{LEAST_WIDTH}",
                "models load slowly, several cards cannot work as one; it hints at a riser or bad contact",
                "return the box",
            )
        elif slot or (card.width_max and card.width < card.width_max):
            yield Finding(
                f"{who} PCIe",
                "note",
                found + slot,
                f"x{LEAST_WIDTH}",
                "it loads models more slowly than it could",
            )
        else:
            yield Finding(f"{who} PCIe", "good", found, f"x{LEAST_WIDTH}")


def links(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """No card has fewer NVLinks up than another, and cards behind NVSwitch have been joined.

    Links that are down on all cards alike may have nobody at their other end: a board for fewer cards.
    """
    cards = examined.box.smi.cards
    most = max((_up(card) for card in cards), default=0)
    for who, card in _cards(examined):
        total, up = len(card.links), _up(card)
        if card.fabric == "In Progress":
            yield Finding(
                f"{who} NVLink",
                "bad",
                "waits for NVSwitch to be set up",
                "set up",
                "no CUDA program starts on it until Fabric Manager has done that, which is the house's to do",
                "start the box again; if it stays so, return it",
            )
        elif up < most:
            yield Finding(
                f"{who} NVLink",
                "bad",
                f"{total - up} of {total} links are down",
                f"{most} links up, as on the others",
                "cards that work as one wait for the slowest link",
                "return the box",
            )
        elif total:
            speed = f"{up} links, {sum(card.links):.0f} GB/s" if up else "not connected"
            rest = f"; {total - up} without anybody at the other end" if 0 < up < total else ""
            yield Finding(f"{who} NVLink", "good", speed + rest)
    if len(cards) > 1 and not most:
        yield Finding(
            "NVLink", "note", "none", "", "several cards talk over PCIe: a model split over them is slower"
        )


def _up(card: Card) -> int:
    return sum(speed > 0 for speed in card.links)


def others(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """Nobody else computes on the card: no process of others, no memory or load that nobody explains."""
    for who, card in _cards(examined):
        foreign = [process for process in card.processes if not process.ours]
        own = [process for process in card.processes if process.ours]
        used = card.used_bytes or 0
        wanted = f"no process, under {human_bytes(IDLE_MEMORY)} in use, load at most {IDLE_LOAD}%"
        if foreign:
            told = ", ".join(_named(process.name, process.memory_bytes) for process in foreign[:3])
            yield Finding(
                f"{who} shared",
                "bad",
                f"{len(foreign)} process(es) that are not of this box: {told}",
                wanted,
                "you pay for a whole card",
                "return the box",
            )
        elif own:
            told = ", ".join(f"{process.name} (pid {process.pid})" for process in own[:3])
            yield Finding(
                f"{who} shared",
                "note",
                f"in use by this box itself: {told}",
                wanted,
                "the image starts it",
                "end it before a model is loaded",
            )
        elif used > IDLE_MEMORY or (card.utilisation or 0) > IDLE_LOAD:
            yield Finding(
                f"{who} shared",
                "bad",
                f"{human_bytes(used)} in use, load {card.utilisation or 0}%, by nobody seen from here",
                wanted,
                "somebody else's container is on the same card",
                "return the box",
            )
        else:
            yield Finding(f"{who} shared", "good", "nobody else", wanted)


def _cards(examined: Examined) -> Iterator[tuple[str, Card]]:
    cards = examined.box.smi.cards
    for position, card in enumerate(cards):
        yield (f"GPU {position}" if len(cards) > 1 else "GPU"), card


def _named(name: str, memory: int | None) -> str:
    return f"{name} ({human_bytes(memory)})" if memory else name
