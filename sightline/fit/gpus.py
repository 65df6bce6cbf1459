"""The cards that people name, with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from sightline.catalogue.entries import CATALOGUE
from sightline.catalogue.errors import CatalogueError
from sightline.catalogue.reading import read_entry
from sightline.catalogue.schema import schema_problems

MIB = 2**20
RESERVED = 0.015
"""Share of a card's memory that the driver keeps to itself (nvidia-smi: reserved): 552 of 81,559 MiB on an
H100, 347 of 24,564 on a 4090. The larger share, rounded up."""


class UnknownCard(ValueError):
    """A name of cards that is not known; the text says what is."""


@dataclass(frozen=True, slots=True)
class Card:
    """One kind of card: memory in bytes; peaks in bytes/s and FLOP/s, None where they are not known."""

    name: str
    title: str
    memory_bytes: int
    bandwidth: float | None
    flops: float | None
    pcie: int | None

    @property
    def usable_bytes(self) -> int:
        """What programs can have of it: all but the driver's reserve."""
        return int(self.memory_bytes * (1 - RESERVED))


@dataclass(frozen=True, slots=True)
class Cards:
    """So many cards of one kind in one machine."""

    card: Card
    count: int

    def __str__(self) -> str:
        return self.card.title if self.count == 1 else f"{self.count} x {self.card.title}"


@lru_cache(maxsize=1)
def known_cards() -> dict[str, Card]:
    """Return the cards of catalogue/gpus.yml by name, smallest memory first.

    Raises:
        CatalogueError: the file breaks its schema.
    """
    cards = {name: _card(name, facts) for name, facts in _entry()["cards"].items()}
    return dict(sorted(cards.items(), key=lambda item: (item[1].memory_bytes, item[0])))


def parse_cards(text: str) -> Cards:
    """Read `h100-80g` or `h100-80gx2`: a name of catalogue/gpus.yml and how many, or a size such as `24g`.

    Raises:
        UnknownCard: no such card is known, or the number is not between 1 and 16.
    """
    found = re.fullmatch(r"([a-z0-9-]+?)(?:x(\d+))?", text.strip().lower())
    if not found:
        raise UnknownCard(f"{text!r} is no card; write a name, such as h100-80g or rtx-4090x2")
    name, count = found[1], int(found[2] or 1)
    if not 1 <= count <= 16:
        raise UnknownCard(f"{text!r}: one machine has 1 to 16 cards")
    if size := re.fullmatch(r"(\d+)gb?", name):
        bytes_ = int(size[1]) * 1024 * MIB
        if not bytes_:
            raise UnknownCard(f"{text!r}: a card has some memory")
        return Cards(Card(name, f"a card of {size[1]} GiB", bytes_, None, None, None), count)
    cards = known_cards()
    if name not in cards:
        near = [key for key in cards if name in key] or get_close_matches(name, cards, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UnknownCard(
            f"no card is called {name!r}; {hint}scripts/plan --gpus lists them, and a size does too: 24g"
        )
    return Cards(cards[name], count)


def cards_of_host(gpus: Sequence[Mapping[str, Any]]) -> Cards | None:
    """Return the cards that a probe listed, of the smallest memory among them; None for none.

    Peaks are those of the card in catalogue/gpus.yml that the driver lists under the same name.
    """
    sizes = [int(gpu["memory_bytes"]) for gpu in gpus if gpu.get("memory_bytes")]
    if not sizes:
        return None
    smallest = min(gpus, key=lambda gpu: int(gpu.get("memory_bytes") or sizes[0]))
    title = str(smallest.get("name") or "GPU")
    like = next((card for card in known_cards().values() if title in _names(card.name)), None)
    card = Card(
        name=like.name if like else "",
        title=title,
        memory_bytes=min(sizes),
        bandwidth=like.bandwidth if like else None,
        flops=like.flops if like else None,
        pcie=like.pcie if like else None,
    )
    return Cards(card, len(sizes))


def _names(card: str) -> list[str]:
    return list(_entry()["cards"][card]["listed_as"])


@lru_cache(maxsize=1)
def _entry() -> dict[str, Any]:
    shown = "catalogue/gpus.yml"
    entry = read_entry(CATALOGUE / "gpus.yml", shown)
    problems = schema_problems("gpus", entry, shown)
    if problems:
        raise CatalogueError(problems)
    return entry


def _card(name: str, facts: Mapping[str, Any]) -> Card:
    return Card(
        name=name,
        title=facts["title"],
        memory_bytes=facts["memory_mib"] * MIB,
        bandwidth=facts["bandwidth_gbps"] * 1e9,
        flops=facts["tflops"] * 1e12,
        pcie=facts["pcie"],
    )
