"""Several hosts that hold one model together: whether their network and what they have let them.

vLLM's own multi-node mode: one process group over all cards, one start on each host with its rank. Its
traffic is neither encrypted nor asked for a key (vLLM's own security guide says: an isolated network), and it
takes ports of its own choosing on every host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none

_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Addresses that providers share out within their own networks (RFC 6598)."""
_SETTING = "sightline_node_address"


@dataclass(frozen=True, slots=True)
class Node:
    """One of the hosts: its name in the inventory, its address in their network, and what is known of it.

    `facts` are the probe's; `plan` is the plan's fact, None for a host without one.
    """

    name: str
    address: str
    facts: Mapping[str, Any]
    plan: Mapping[str, Any] | None

    @property
    def interface(self) -> str | None:
        """The interface that has the address."""
        for entry in read_or_none(self.facts, "interfaces", list) or []:
            if isinstance(entry, dict) and _same(str(entry.get("address")), self.address):
                return str(entry.get("name"))
        return None


def node_fact(nodes: Sequence[Node], here: str, port: int) -> dict[str, Any]:
    """What the host `here` has to know to start; `changing`: any of them is to be changed."""
    rank = [node.name for node in nodes].index(here)
    steps = [(node.plan or {}).get("steps") or {} for node in nodes]
    return {
        "rank": rank,
        "count": len(nodes),
        "head": nodes[0].address,
        "port": port,
        "address": nodes[rank].address,
        "interface": nodes[rank].interface,
        "changing": any(step.get("service") != "keep" for step in steps),
    }


def node_objections(nodes: Sequence[Node], here: str) -> list[Objection]:
    """Everything that keeps these hosts from holding one model, said for the host `here`."""
    names = [node.name for node in nodes]
    if here not in names or len(set(names)) != len(names) or len(names) < 2:
        return [
            Objection(
                f"sightline_nodes is {', '.join(names)}",
                f"it names two hosts or more, each once, and {here} among them",
                "write the inventory's names there, the head first",
            )
        ]
    lacking = [node.name for node in nodes if node.plan is None]
    if lacking:
        return [
            Objection(
                f"there is no plan of {', '.join(lacking)}",
                f"each of {', '.join(names)} holds a part of the model, so they are deployed in one run",
                "mend what is said of these hosts, and leave --limit out",
            )
        ]
    found = [objection for node in nodes for objection in _address(node)]
    return found or [*_twice(nodes), *_differences(nodes)]


def _address(node: Node) -> Iterator[Objection]:
    try:
        address = ipaddress.ip_address(node.address)
    except ValueError:
        yield Objection(
            f"{node.name}: {node.address or 'nothing'!r} is no IP address",
            "vLLM's nodes find each other by their addresses in a network of their own",
            f"set {_SETTING} of {node.name} to one of {_listed(node)}",
        )
        return
    if node.interface is None:
        container = read_or_none(node.facts, "surroundings.container", str)
        yield Objection(
            f"{node.name}: no interface has the address {address}",
            "it is a container behind NAT: only the ports that its provider maps lead into it, and vLLM's "
            "nodes talk to each other on ports of their own choosing"
            if container
            else "the nodes listen on it, and come from it",
            "use one host with more cards, or hosts with a private network between them (and set "
            f"{_SETTING} to their addresses there)"
            if container
            else f"set {_SETTING} of {node.name} to one of {_listed(node)}",
        )
    elif address.is_loopback or address.is_link_local or address.is_unspecified:
        yield Objection(
            f"{node.name}: {address} is reached from that host alone",
            "the nodes reach each other by it",
            f"set {_SETTING} of {node.name} to one of {_listed(node)}",
        )
    elif not (address.is_private or address in _SHARED):
        yield Objection(
            f"{node.name}: {address} is a public address",
            "what the nodes tell each other is not encrypted, and whoever reaches their ports can take part",
            f"give the hosts a private network, and set {_SETTING} of {node.name} to its address there "
            f"(it has {_listed(node)})",
        )


def _twice(nodes: Sequence[Node]) -> Iterator[Objection]:
    for place, node in enumerate(nodes):
        same = [other.name for other in nodes[:place] if _same(other.address, node.address)]
        if same:
            yield Objection(
                f"{same[0]} and {node.name} have the same address, {node.address}",
                "it is one host, or each has a network of its own behind NAT, as rented containers have",
                "use one host with more cards, or hosts with a private network between them",
            )


def _differences(nodes: Sequence[Node]) -> Iterator[Objection]:
    """vLLM takes for granted that all of them run the same, from the same paths, on the same cards."""
    compared: dict[str, Callable[[Node], Any]] = {
        "architecture": lambda node: node.facts.get("arch"),
        "release": lambda node: (node.plan or {}).get("release"),
        "environment": lambda node: (node.plan or {}).get("environment"),
        "model's folder": lambda node: (node.plan or {}).get("model"),
        "GPUs": lambda node: [card.get("name") for card in node.facts.get("gpus") or []],
        "NVIDIA driver": lambda node: read_or_none(node.facts, "driver.version", str),
    }
    for what, value in compared.items():
        values = [value(node) for node in nodes]
        differing = [
            (node.name, found) for node, found in zip(nodes, values, strict=True) if found != values[0]
        ]
        for name, found in differing:
            yield Objection(
                f"{nodes[0].name} and {name} differ in {what}: {_shown(values[0])} and {_shown(found)}",
                "the parts of one model must be computed alike: same versions, same paths, same cards",
                "give the nodes the same settings (sightline_root, _release, _engine, _context ... in the "
                "group's vars) and the same hardware",
            )


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value or "none")


def _listed(node: Node) -> str:
    entries = read_or_none(node.facts, "interfaces", list) or []
    known = [f"{entry['address']} ({entry['name']})" for entry in entries if entry.get("name") != "lo"]
    return ", ".join(known) or "its addresses in a private network (none was seen)"


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False
