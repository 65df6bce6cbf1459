"""Reaching an endpoint that listens on its own machine only: through the ssh connection it was deployed
over.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from sightline.deployment import Connection

from .errors import CouldNotTell

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def is_needed(connection: Connection, base_url: str) -> bool:
    """Whether the address means another machine's loopback."""
    return connection.type == "ssh" and httpx.URL(base_url).host in LOOPBACK


@contextmanager
def tunnel(connection: Connection, base_url: str, patience: float = 20.0) -> Iterator[str]:
    """An address on this machine that leads to `base_url` on the host, until the block ends.

    Raises CouldNotTell when ssh does not get there within `patience` seconds, with what ssh said.
    """
    url = httpx.URL(base_url)
    port = _free_port()
    far_end = f"[{url.host}]:{url.port or 80}" if ":" in url.host else f"{url.host}:{url.port or 80}"
    command = [
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ConnectTimeout=10"),
        *shlex.split(connection.ssh_args),
        *(("-p", str(connection.port)) if connection.port else ()),
        *("-L", f"127.0.0.1:{port}:{far_end}"),
        *(("-i", connection.private_key_file) if connection.private_key_file else ()),
        *(("-l", connection.user) if connection.user else ()),
        # A session, though nothing is said in it, where -N has none: only with one does sshd send short
        # packets at once, which saves a round trip per answer. And it ends with this process in any case.
        *("--", str(connection.host), "exec cat >/dev/null"),
    ]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        raise CouldNotTell("tunnel", "there is no ssh on this machine", "install an ssh client") from None
    try:
        _wait(process, port, patience, str(connection.host))
        yield str(url.copy_with(host="127.0.0.1", port=port))
    finally:
        process.terminate()
        process.wait()
        for stream in (process.stdin, process.stderr):
            if stream:
                stream.close()


def _wait(process: subprocess.Popen[str], port: int, patience: float, host: str) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else "").strip().splitlines()
            raise CouldNotTell(
                "tunnel",
                f"ssh does not get to {host}: {said[-1] if said else 'no reason given'}",
                "check the connection to the host",
            )
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise CouldNotTell(
        "tunnel", f"ssh did not get to {host} within {patience:g} s", "check the connection to the host"
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
