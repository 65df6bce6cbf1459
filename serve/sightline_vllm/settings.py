"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MEGA = 1_000_000


@dataclass(frozen=True)
class Node:
    """This host as one of `count` that hold one model together. `rank` 0 is the head, which alone listens.

    `address` is this host's, on `interface`; the head's is `head`, and its port `port`.
    """

    count: int
    rank: int
    head: str
    port: int
    address: str
    interface: str


@dataclass(frozen=True)
class Settings:
    """None and 0 leave it to vLLM. `context` is of one conversation in tokens, `slots` run at once.

    `pixels`: the most a picture may have; `scaled_pixels`: what the model's processor scales larger ones to.
    `share`: of a card's memory (of all memory on a CPU); `cache_bytes`: of keys and values instead.
    `domains`: the hosts that picture URLs may name; empty: none, pictures come as data URLs.
    `cpu`: it is vLLM's build for CPUs. `rest`: further words for vLLM.
    """

    model: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    api_key_file: Path | None = None
    context: int = 0
    slots: int = 0
    pictures: int = 8
    pixels: int = 50 * MEGA
    scaled_pixels: int = 0
    share: float = 0.0
    cache_bytes: int = 0
    domains: tuple[str, ...] = ()
    cards: int = 1
    node: Node | None = None
    cpu: bool = False
    rest: tuple[str, ...] = field(default=())
