"""The way into the box: ssh configuration, jump hosts, host keys, and what opens its door."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fabric
import paramiko

from sightline.accept.address import Way
from sightline.accept.errors import NoAnswer

CONNECT_SECONDS = 15


def connect(way: Way, secret: str | None = None) -> Any:
    """An open `fabric.Connection`; `secret` is a password, or the passphrase of a key.

    Raises NoAnswer with what to do when there is no way in.
    """
    if way.config is not None and not way.config.is_file():
        raise NoAnswer(f"there is no ssh configuration {way.config}", "name one that is there with -F")
    if way.key is not None and not way.key.is_file():
        raise NoAnswer(f"there is no key {way.key}", "name the private key with -i")
    try:
        connection = _prepare(way, secret)
        connection.open()
    except NoAnswer:
        raise
    except paramiko.BadHostKeyException as problem:
        raise NoAnswer(
            f"{way} shows another host key than the one that is known",
            "if the house has set the box up anew, take the old one out (ssh-keygen -R "
            f"'{_known_as(problem.hostname, way.port)}'); if not, somebody stands in between",
        ) from None
    except paramiko.PasswordRequiredException:
        raise NoAnswer(
            "the key has a passphrase", "add it to the agent (ssh-add), or give --ask-password"
        ) from None
    except paramiko.AuthenticationException:
        raise NoAnswer(
            f"{way} lets nobody in with this key or password",
            "check the user's name and -i KEY; where the house gave a password, use --ask-password",
        ) from None
    except (paramiko.SSHException, OSError, EOFError, ValueError) as problem:
        raise NoAnswer(f"ssh does not get to {way}: {_reason(problem)}", _advice(problem)) from None
    return connection


def _prepare(way: Way, secret: str | None) -> Any:
    config = _configuration(way)
    words: dict[str, Any] = {"banner_timeout": CONNECT_SECONDS, "auth_timeout": CONNECT_SECONDS}
    if way.key:
        words |= {"key_filename": [str(way.key)], "look_for_keys": False}
    if secret:
        words |= {"password": secret}
    connection = fabric.Connection(
        way.host, way.user, way.port, config=config, connect_timeout=CONNECT_SECONDS, connect_kwargs=words
    )
    if isinstance(connection.gateway, fabric.Connection):
        connection.gateway = _jumps(connection.ssh_config["proxyjump"], config)
    if connection.ssh_config.get("identitiesonly") == "yes":
        connection.connect_kwargs |= {"allow_agent": False, "look_for_keys": False}
    for hop in _hops(connection):
        _check_host_key(hop, way.accept_new)
    return connection


def _configuration(way: Way) -> Any:
    """ssh's own files, or the one that was named; what is said first counts, so options come first."""
    if not way.options:
        return fabric.Config(runtime_ssh_path=str(way.config) if way.config else None)
    files = [way.config] if way.config else [Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")]
    lines = ["Host *", *(f"  {keyword} {value}" for keyword, value in way.options)]
    texts = [file.read_text() for file in files if file.is_file()]
    return fabric.Config(ssh_config=paramiko.SSHConfig.from_text("\n".join([*lines, *texts])))


def _jumps(words: str, config: Any) -> Any:
    """The last of the jump hosts, each reached through the one before: fabric visits several in reverse."""
    last = None
    for word in words.split(","):
        last = fabric.Connection(word.strip(), config=config.clone(), gateway=last)
    return last


def _hops(connection: Any) -> Iterator[Any]:
    """The connection and the jump hosts before it. A gateway that is a text is a ProxyCommand."""
    while isinstance(connection, fabric.Connection):
        yield connection
        connection = connection.gateway


def _check_host_key(hop: Any, accept_new: bool) -> None:
    """Known keys only: fabric's own default takes whatever key it is shown."""
    asked = hop.ssh_config
    # "no" takes even changed keys; here it means no more than accept-new.
    accept_new = accept_new or asked.get("stricthostkeychecking") in ("no", "accept-new")
    own = _files(asked.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
    shared = _files(asked.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"))
    for file in (*own, *shared):
        if file.is_file():
            hop.client.load_system_host_keys(str(file))
    hop.client.set_missing_host_key_policy(_AcceptNew(own[0]) if accept_new and own else _OnlyKnown())


def _files(words: str) -> list[Path]:
    return [Path(word).expanduser() for word in words.split() if word not in ("none", "/dev/null")]


class _OnlyKnown(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuses a box that is not known, and says its fingerprint, to compare with what the house shows."""

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        raise NoAnswer(
            f"the host key of {hostname} is not known ({key.get_name()} {key.fingerprint})",
            "compare it with what the house shows, then run again with --accept-new to keep it",
        )


class _AcceptNew(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Keeps the key of a box that is new, in the file where ssh would; a changed one is still refused."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self.file.read_text() if self.file.exists() else ""
        line = f"{hostname} {key.get_name()} {key.get_base64()}\n"
        with self.file.open("a") as opened:
            opened.write(line if not before or before.endswith("\n") else f"\n{line}")


def _known_as(host: str, port: int | None) -> str:
    return host if port in (None, 22) or host.startswith("[") else f"[{host}]:{port}"


def _reason(problem: BaseException) -> str:
    if isinstance(problem, socket.gaierror):
        return "no such name"
    if isinstance(problem, TimeoutError):
        return f"no answer within {CONNECT_SECONDS} s"
    return str(problem).replace("[Errno None] ", "").strip() or type(problem).__name__


def _advice(problem: BaseException) -> str:
    if isinstance(problem, socket.gaierror):
        return "check the host's name"
    return "check address and port (-p), and that the box is running"
