"""A short look at the host of a deployment: a line of shell, run there as the user who connects."""

from __future__ import annotations

import shlex
import subprocess
from typing import Final

from sightline.deployment import Connection

SECONDS: Final = 60


def said(connection: Connection, script: str) -> str | None:
    """What `script` prints on the host; None where it cannot be asked. Raises nothing."""
    try:
        ended = subprocess.run(
            command(connection, script),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout


def command(connection: Connection, script: str) -> list[str]:
    """The words that run `script` in a shell of the host."""
    if connection.type == "local":
        return ["sh", "-c", script]
    return [
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *shlex.split(connection.ssh_args)),
        *(("-p", str(connection.port)) if connection.port else ()),
        *(("-i", connection.private_key_file) if connection.private_key_file else ()),
        *(("-l", connection.user) if connection.user else ()),
        *("--", str(connection.host), f"sh -c {shlex.quote(script)}"),
    ]
