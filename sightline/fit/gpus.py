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
    """One kind of card: memory in bytes; peaks in bytes/s and FLOP/s, None where they are not known.

    `compute`: CUDA's compute capability, such as "8.9"; None where it is not known.
    """

    name: str
    title: str
    memory_bytes: int
    bandwidth: float | None
    flops: float | None
    pcie: int | None
    compute: str | None

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
        UnknownCard: no such card is known, or their number is not between 1 and 16.
    """
    said = re.sub(r"[\s_]+", "-", text.strip().lower())
    several = re.fullmatch(r"(.+?)-?x([0-9]{1,3})", said)
    for name, count in ((said, 1), (several[1], int(several[2])) if several else ("", 0)):
        card = known_cards().get(name) or _card_of_size(name)
        if card is not None:
            if not 1 <= count <= 16:
                raise UnknownCard(f"{text!r}: one machine has 1 to 16 cards")
            return Cards(card, count)
    near = _alike(said)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UnknownCard(
        f"no card is called {text!r}; {hint}scripts/plan --gpus lists them, and a size does too: 24g"
    )


def _card_of_size(name: str) -> Card | None:
    """A card of which only the size in GiB is known: `24g`; None where that is no size."""
    size = re.fullmatch(r"([1-9][0-9]{0,3})-?gi?b?", name)
    if size is None:
        return None
    return Card(f"{size[1]}g", f"a card of {size[1]} GiB", int(size[1]) * 1024 * MIB, None, None, None, None)


def _alike(said: str) -> list[str]:
    """Names that somebody may have meant who wrote them with other hyphens, in part, or wrongly."""
    plain = {key.replace("-", ""): key for key in known_cards()}
    wanted = re.sub(r"[^a-z0-9]", "", said)
    inside = [key for short, key in plain.items() if wanted and (wanted in short or short in wanted)]
    return inside or [plain[near] for near in get_close_matches(wanted, plain, n=3, cutoff=0.5)]


def cards_of_host(gpus: Sequence[Mapping[str, Any]]) -> Cards | None:
    """Return the cards that a probe listed, of the smallest memory among them; None for none.

    Peaks are those of the card in catalogue/gpus.yml that the driver lists under the same name.
    """
    sizes = [int(gpu["memory_bytes"]) for gpu in gpus if gpu.get("memory_bytes")]
    if not sizes:
        return None
    smallest = min(gpus, key=lambda gpu: int(gpu.get("memory_bytes") or sizes[0]))
    title = str(smallest.get("name") or "GPU")
    like = card_listed_as(title)
    card = Card(
        name=like.name if like else "",
        title=title,
        memory_bytes=min(sizes),
        bandwidth=like.bandwidth if like else None,
        flops=like.flops if like else None,
        pcie=like.pcie if like else None,
        compute=like.compute if like else None,
    )
    return Cards(card, len(sizes))


def card_listed_as(product: str) -> Card | None:
    """Return the known card that the driver lists under this product name, None for an unknown one."""
    cards = _entry()["cards"]
    return next((card for card in known_cards().values() if product in cards[card.name]["listed_as"]), None)


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
        compute=facts["compute"],
    )
