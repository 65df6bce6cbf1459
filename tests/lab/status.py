"""What runs in a lab, for people and for programs."""

from __future__ import annotations

from typing import Any

from tests.lab import network
from tests.lab.kinds import KINDS
from tests.lab.place import Place, Record


def read(place: Place) -> dict[str, Any]:
    """Everything that `scripts/lab status --json` says."""
    found = network.existing(place)
    return {
        "inventory": str(place.inventory) if place.inventory.exists() else None,
        "range": str(found.range) if found else None,
        "hosts": [_host(record, found) for record in place.records().values()],
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same for a person, one line a host."""
    if not told["hosts"]:
        return ["no host runs; scripts/lab up starts some"]
    shown = []
    for host in told["hosts"]:
        where = f"{host['user']}@{host['address']}:{host['port']}" if host["address"] else "unreachable"
        words = [f"{host['name']:<12} {host['kind']:<10} {host['state']:<8} {where}"]
        words += [f"{inside}->{outer}" for inside, outer in host["mapped_ports"].items()]
        if host["slow"]:
            words.append("slow: {latency_seconds} s more, {loss:.1%} lost".format(**host["slow"]))
            words += [] if host["slow"]["running"] else ["(its slow wire is broken: slow --off mends it)"]
        words += [f"full: {disk}" for disk in host["full"]]
        shown.append("  ".join(words))
    return [*shown, f"inventory: {told['inventory']}"]


def _host(record: Record, found: network.Network | None) -> dict[str, Any]:
    kind = KINDS[record.kind]
    address, port = found.door(record, 22) if found else (None, None)
    slow = record.slow
    return {
        "name": record.name,
        "kind": record.kind,
        "state": "running" if record.keeper.alive() else "dead",
        "address": address,
        "port": port,
        "user": kind.user,
        "mapped_ports": {str(inside): found.door(record, inside)[1] for inside in kind.ports or ()}
        if found
        else {},
        "keeper_pid": record.keeper.pid,
        "slow": slow and {"latency_seconds": slow.latency, "loss": slow.loss, "running": slow.relay.alive()},
        "full": list(record.full),
    }
