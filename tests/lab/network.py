"""A lab's network: one bridge, a range of addresses, a way out, and mapped ports for rented hosts."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass

from tests.lab import links
from tests.lab.commands import run, succeeds
from tests.lab.forwarding import Forwarding
from tests.lab.kinds import KINDS
from tests.lab.links import ip
from tests.lab.place import Place, Record
from tests.lab.problems import LabError

_RANGES = [
    ipaddress.IPv4Network(f"10.{second}.{third}.0/24") for second in (77, 78, 79) for third in range(8)
]


@dataclass(frozen=True)
class Network:
    """The range a lab has taken: the first address is this machine's, host `index` has that number's."""

    place: Place
    range: ipaddress.IPv4Network

    @property
    def gateway(self) -> str:
        return str(self.range[1])

    def address(self, index: int) -> str:
        return str(self.range[index])

    def door(self, record: Record, port: int) -> tuple[str, int]:
        """Address and port at which this machine reaches the host's `port`."""
        mapped = KINDS[record.kind].ports
        if mapped is None:
            return self.address(record.index), port
        return self.gateway, 40000 + 1000 * mapped.index(port) + record.index


def existing(place: Place) -> Network | None:
    """The network that this lab has already."""
    for link in links.described("address"):
        if link["ifname"] == place.bridge:
            for address in link["addr_info"]:
                if address["family"] == "inet":
                    return Network(place, ipaddress.ip_interface(f"{address['local']}/24").network)  # type: ignore[arg-type]
    return None


def ensure(place: Place) -> Network:
    """The lab's network, made if it is not there yet. Raises LabError."""
    found = existing(place)
    if found is None:
        found = Network(place, free_range(_taken()))
        links.remove(place.bridge)
        links.add_bridge(place.bridge, _hardware(place, 1))
        ip("address", "add", f"{found.gateway}/24", "dev", place.bridge)
    Forwarding().need(place.tag)
    return found


def remove(place: Place) -> None:
    """All of it, as far as it is there."""
    for name in links.names():
        if name == place.bridge or name.startswith(f"sl{place.tag}"):
            links.remove(name)
    if succeeds("nft", "list", "table", "inet", place.table):
        run("nft", "delete", "table", "inet", place.table)
    Forwarding().release(place.tag)


def connect(network: Network, index: int, keeper: int) -> None:
    """Lay a cable from the bridge to eth0 in the namespace of the process `keeper`."""
    place = network.place
    cable = place.link("h", index)
    ip(
        "link",
        "add",
        cable,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "address",
        _hardware(place, index),
        "netns",
        str(keeper),
    )
    links.plug(cable, place.bridge)
    ip("link", "set", "lo", "up", inside=keeper)
    ip("address", "add", f"{network.address(index)}/24", "dev", "eth0", inside=keeper)
    ip("link", "set", "eth0", "up", inside=keeper)
    ip("route", "add", "default", "via", network.gateway, inside=keeper)


def map_ports(network: Network, records: Iterable[Record]) -> None:
    """The rules for the way out and for mapped ports, for exactly these hosts, in one step."""
    doors, walls = [], []
    for record in records:
        own = network.address(record.index)
        for port in KINDS[record.kind].ports or ():
            address, outer = network.door(record, port)
            doors.append(f"ip daddr {address} tcp dport {outer} dnat ip to {own}:{port}")
        if KINDS[record.kind].ports is not None:
            # What does not come through a mapped port does not come in, as with a rented container.
            walls.append(
                f"ip daddr {own} meta l4proto {{ tcp, udp }} ct state new ct status & dnat == 0 reject"
            )
    # What crosses a slow wire's own bridge is followed elsewhere; following it twice confuses mapped ports.
    table = f"table inet {network.place.table}"
    rules = f"""
        {table} {{}}
        delete {table}
        {table} {{
            chain aside {{
                type filter hook prerouting priority raw;
                iifname "{network.place.link("b", "*")}" notrack
            }}
            chain out {{
                type nat hook postrouting priority srcnat;
                ip saddr {network.range} ip daddr != {network.range} masquerade
            }}
            chain door {{
                type nat hook prerouting priority dstnat;
                {_lines(doors)}
            }}
            chain own_door {{
                type nat hook output priority -100;
                {_lines(doors)}
            }}
            chain wall {{
                type filter hook forward priority filter;
                {_lines(walls)}
            }}
            chain own_wall {{
                type filter hook output priority filter;
                {_lines(walls)}
            }}
        }}
        """
    run("nft", "-f", "-", feed=rules)


def _hardware(place: Place, index: int) -> str:
    """The same at every start, so that nobody has to find out again who has an address. 02: given locally."""
    return f"02:5e:{place.tag[:2]}:{place.tag[2:4]}:0{place.tag[4]}:{index:02x}"


def free_range(taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first range that nothing on this machine uses. Raises LabError."""
    taken = list(taken)
    for candidate in _RANGES:
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise LabError(
        f"no free range of addresses: all from {_RANGES[0]} to {_RANGES[-1]} are used on this machine"
    )


def _taken() -> list[ipaddress.IPv4Network]:
    """What this machine has routes to; the default route takes nothing."""
    routes = json.loads(ip("-json", "-4", "route", "show", "table", "all"))
    targets = [route["dst"] for route in routes if route["dst"] != "default"]
    return [ipaddress.IPv4Network(target, strict=False) for target in targets if ":" not in target]


def _lines(rules: list[str]) -> str:
    return "\n                ".join(rules)
