"""What the inventory says of a gateway, read and checked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TLS = ("internal", "files", "acme", "none")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SIZE = re.compile(r"([1-9][0-9]*)(KB|MB|GB)")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
"""As Caddy reads them. Source: github.com/dustin/go-humanize, bytes.go."""


@dataclass(frozen=True)
class Client:
    """One who may ask: `rpm` requests a minute (0: as many as they like) for `models` (none: every one)."""

    name: str
    rpm: int = 0
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replica:
    """A host of the group sightline. `url` as the gateway reaches it; `local`: on the controller."""

    name: str
    url: str
    model: str
    key_file: str
    local: bool


@dataclass(frozen=True)
class Wishes:
    """`members` are the hosts that are replicas too; `oci` holds gateway_oci_* without that prefix."""

    name: str
    host: str
    local: bool
    port: int
    tls: str
    certificate: str = ""
    certificate_key: str = ""
    body_limit: str = "64MB"
    model: str = ""
    replicas: tuple[Replica, ...] = ()
    clients: tuple[Client, ...] = ()
    tuning: dict[str, Any] = field(default_factory=dict)
    oci: dict[str, Any] = field(default_factory=dict)

    @property
    def body_bytes(self) -> int:
        """`body_limit` as a number."""
        found = _SIZE.fullmatch(self.body_limit)
        assert found, "read_wishes has looked at it"
        return int(found[1]) * _UNITS[found[2]]


def read_wishes(told: Mapping[str, Any]) -> Wishes:
    """Raises ValueError: which setting is wrong, and how it should be."""
    if told["tls"] not in TLS:
        raise ValueError(f"sightline_gateway_tls is {told['tls']!r}; it is one of {', '.join(TLS)}")
    if not _SIZE.fullmatch(str(told["body_limit"])):
        raise ValueError(f"sightline_gateway_body_limit is {told['body_limit']!r}; it looks like 64MB")
    clients = tuple(_client(entry) for entry in told["clients"])
    names = [client.name for client in clients]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"sightline_gateway_clients names {twice[0]!r} twice")
    replicas = tuple(Replica(**{**entry, "local": bool(entry["local"])}) for entry in told["replicas"])
    return Wishes(
        name=str(told["name"]),
        host=str(told["host"]),
        local=bool(told["local"]),
        port=int(told["port"]),
        tls=str(told["tls"]),
        certificate=str(told["certificate"]),
        certificate_key=str(told["certificate_key"]),
        body_limit=str(told["body_limit"]),
        model=str(told["model"]),
        replicas=replicas,
        clients=clients,
        tuning=dict(told["tuning"]),
        oci=dict(told["oci"]),
    )


def _client(entry: Any) -> Client:
    place = "sightline_gateway_clients"
    if not isinstance(entry, dict) or not _NAME.fullmatch(str(entry.get("name", ""))):
        raise ValueError(
            f"{place}: an entry is like {{name: alice, rpm: 60, models: [llava]}}, not {entry!r}"
        )
    if unknown := sorted(set(entry) - {"name", "rpm", "models"}):
        raise ValueError(f"{place}: {entry['name']} has {unknown[0]!r}; known are name, rpm and models")
    rpm, models = entry.get("rpm", 0), entry.get("models", [])
    if isinstance(rpm, bool) or not isinstance(rpm, int) or rpm < 0:
        raise ValueError(f"{place}: rpm of {entry['name']} should be a whole number from 0, not {rpm!r}")
    if not isinstance(models, list) or not all(_NAME.fullmatch(str(model)) for model in models):
        raise ValueError(f"{place}: models of {entry['name']} should be a list of names, not {models!r}")
    return Client(str(entry["name"]), rpm, tuple(map(str, models)))


def is_address(name: str) -> bool:
    """Whether it is an IP address and no name: no authority that everybody trusts gives it a certificate."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def on_loopback(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]")
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
