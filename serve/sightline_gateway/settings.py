"""What the gateway stands before, read from a JSON file that holds no secret."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from sightline_start.errors import StartError

from sightline_gateway.oci_params import read_oci


@dataclass(frozen=True)
class Replica:
    """One server of the model. `url` ends in /v1; `model` is what that server calls it."""

    name: str
    url: str
    model: str


@dataclass(frozen=True)
class Settings:
    """`model` is what clients ask for. All times are in seconds.

    `watch_every` lies between two rounds of questions to a replica, `watch_timeout` is how long it may take
    for an answer to one. `body_limit` is of a request, in bytes. `oci` holds what makes Oracle's service the
    last resort; empty: there is none.
    """

    model: str
    replicas: tuple[Replica, ...]
    retries: int = 3
    cooldown: float = 10.0
    timeout: float = 3600.0
    watch_every: float = 5.0
    watch_timeout: float = 30.0
    body_limit: int = 64_000_000
    oci: dict[str, Any] = field(default_factory=dict)


NUMBERS = {
    "retries": int,
    "cooldown": float,
    "timeout": float,
    "watch_every": float,
    "watch_timeout": float,
    "body_limit": int,
}


def read_settings(path: Path) -> Settings:
    """Raises StartError: what is wrong in the file, and where."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise StartError(f"--settings {path}: {problem.strerror}.") from None
    except ValueError as problem:
        raise StartError(f"--settings {path} is no JSON: {problem}.") from None
    try:
        return settings_from(told)
    except ValueError as problem:
        raise StartError(f"--settings {path}: {problem}.") from None


def settings_from(told: Any) -> Settings:
    """Raises ValueError: which entry is wrong, and why."""
    values = _entries(Settings, told, "the file")
    replicas = values["replicas"]
    if not isinstance(replicas, list) or not (replicas or values.get("oci")):
        raise ValueError("replicas should be a list with at least one replica, unless oci stands for all")
    read = tuple(_replica(entry, f"replicas[{index}]") for index, entry in enumerate(replicas))
    names = [replica.name for replica in read]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"the replica {sorted(twice)[0]!r} stands there twice")
    for name, kind in NUMBERS.items():
        given = values.get(name, 1)
        if isinstance(given, bool) or not isinstance(given, (int, float)) or given < 0:
            raise ValueError(f"{name} should be a number from 0, not {given!r}")
        if name in values:
            values[name] = kind(given)
    if not isinstance(values.get("oci", {}), dict):
        raise ValueError(f"oci should be an object, not {values['oci']!r}")
    if values.get("oci"):
        read_oci(values["oci"])
    if not isinstance(values["model"], str) or not values["model"]:
        raise ValueError("model should be the name that clients ask for")
    return Settings(**{**values, "replicas": read})


def _replica(entry: Any, where: str) -> Replica:
    values = _entries(Replica, entry, where)
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}.{name} should be a text, not {value!r}")
    if not values["url"].startswith(("http://", "https://")):
        raise ValueError(f"{where}.url should begin with http:// or https://, not {values['url']!r}")
    return Replica(**values)


def _entries(kind: type, told: Any, where: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise ValueError(f"{where} should hold an object")
    known = {item.name: item for item in fields(kind)}
    for name in told:
        if name not in known:
            raise ValueError(
                f"{where} has an entry {name!r}, which is not known; there are: {', '.join(known)}"
            )
    for name, item in known.items():
        if name not in told and item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{where} lacks {name}")
    return dict(told)
