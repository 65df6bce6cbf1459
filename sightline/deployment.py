"""The deployment record: what was deployed where, written by the playbook on the controller, read by
everyone else.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

SCHEMA: Final = 1
FOLDER: Final = Path(".sightline/deployments")
"""Where the records lie, below the checkout: one `<host>.json` each."""

Record = TypeVar("Record")


class DeploymentError(Exception):
    """A record that is missing, ambiguous or malformed; the message says which file, what is wrong and
    what to do.
    """


@dataclass(frozen=True)
class Connection:
    """How the controller reaches the host.

    `become` asks for sudo where the user may not look at everything; `ssh_args` are further options for ssh;
    `port` 0 leaves the port to ssh's own configuration.
    """

    type: Literal["local", "ssh"]
    host: str | None = None
    port: int = 22
    user: str | None = None
    private_key_file: str | None = None
    become: bool = False
    ssh_args: str = ""


@dataclass(frozen=True)
class Release:
    """The set of versions that is deployed."""

    name: str
    id: str


@dataclass(frozen=True)
class Service:
    """The service as the host runs it; `unit` under systemd, `supervisor_conf` and `supervisorctl`
    elsewhere. `start_at_boot`: whether it was to come back by itself; records of earlier versions don't say.
    """

    name: str
    user: str
    bind: str
    port: int
    unit: str | None = None
    supervisor_conf: str | None = None
    supervisorctl: tuple[str, ...] | None = None
    start_at_boot: bool = False


@dataclass(frozen=True)
class Environment:
    """The engine's Python environment on the host and the lock files (on the controller) it was built
    from. `adopted`: the folder of packages of another Python that it stands on.
    """

    path: str
    lock_files: tuple[str, ...]
    lock_sha256: str | None = None
    adopted: str | None = None


@dataclass(frozen=True)
class Deployment:
    """One deployed endpoint. `api_key_file` lies on the controller, `api_key_path` on the host.

    `device` is what the server computes on; records of earlier versions know none but the CPU. `ca_file`: the
    authority (PEM, on the controller) that certifies the endpoint, where it is one of its own.
    """

    schema: int
    host: str
    connection: Connection
    base_url: str
    model: str
    api_key_file: str
    engine: str
    release: Release
    root: str
    init: Literal["systemd", "supervised"]
    service: Service
    environment: Environment
    model_dir: str
    api_key_path: str
    deployed_at: str
    device: Literal["cpu", "cuda"] = "cpu"
    ca_file: str | None = None


def names(checkout: Path) -> list[str]:
    """Hosts with a record in this checkout, in alphabetical order."""
    return sorted(path.stem for path in (checkout / FOLDER).glob("*.json"))


def find(checkout: Path, host: str | None = None) -> Path:
    """The record of a host, or of the only deployed host when none is named. Raises DeploymentError."""
    known = names(checkout)
    if not known:
        raise DeploymentError(
            f"nothing is deployed from {checkout} (no record in {FOLDER}); run scripts/up first"
        )
    if host is None:
        if len(known) > 1 and "local" not in known:
            raise DeploymentError(
                f"several hosts are deployed ({', '.join(known)}); choose one with --host NAME"
            )
        host = "local" if "local" in known else known[0]
    if host not in known:
        raise DeploymentError(f"no deployment of host {host!r} is known; there is: {', '.join(known)}")
    return checkout / FOLDER / f"{host}.json"


def load(path: Path) -> Deployment:
    """Read and check a record. Raises DeploymentError; keys that are not known are ignored, so that
    records may grow.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeploymentError(f"there is no deployment record {path}; run scripts/up first") from None
    except OSError as problem:
        raise DeploymentError(f"the deployment record {path} can't be read: {problem.strerror}") from None
    except ValueError as problem:
        raise DeploymentError(
            f"the deployment record {path} is no JSON ({problem}); run scripts/up again"
        ) from None
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        raise DeploymentError(
            f"the deployment record {path} has schema {data.get('schema')!r}, this version reads {SCHEMA}; "
            "run scripts/up again"
        )
    deployment = _build(Deployment, data, str(path), "")
    connection = deployment.connection
    if connection.type == "ssh" and not connection.host:
        raise DeploymentError(
            f"{path}: connection.host is missing for an ssh connection; run scripts/up again"
        )
    if deployment.init == "supervised" and not deployment.service.supervisorctl:
        raise DeploymentError(
            f"{path}: service.supervisorctl is missing for a supervised service; run scripts/up again"
        )
    return deployment


def _build(kind: type[Record], data: Any, where: str, key: str) -> Record:
    if not isinstance(data, dict):
        raise DeploymentError(f"{where}: {key or 'the record'} should be an object, not {_said(data)}")
    hints = get_type_hints(kind)
    values = {}
    for item in fields(kind):  # type: ignore[arg-type]
        name = f"{key}.{item.name}" if key else item.name
        if item.name in data:
            values[item.name] = _value(hints[item.name], data[item.name], where, name)
        elif item.default is MISSING:
            raise DeploymentError(f"{where}: {name} is missing; run scripts/up again to write a whole record")
    return kind(**values)


def _value(hint: Any, value: Any, where: str, key: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _value(options[0], value, where, key)
    if origin is Literal:
        if value not in get_args(hint):
            raise DeploymentError(
                f"{where}: {key} should be one of {', '.join(get_args(hint))}, not {_said(value)}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise DeploymentError(f"{where}: {key} should be a list of texts, not {_said(value)}")
        return tuple(value)
    if is_dataclass(hint):
        return _build(hint, value, where, key)  # type: ignore[arg-type]
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        wanted = {"str": "a text", "int": "a whole number", "bool": "true or false"}[hint.__name__]
        raise DeploymentError(f"{where}: {key} should be {wanted}, not {_said(value)}")
    return value


def _said(value: Any) -> str:
    return json.dumps(value)[:60]
