"""Runs a script on the box: sent on stdin, answered on stdout, both bounded."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import paramiko

from sightline.accept.errors import NoAnswer
from sightline.accept.sections import Said, parse

MOST_OUTPUT = 8 * 2**20
"""Bytes of a script's answer: an eight-card list of nvidia-smi is under one million."""

GRACE = 5
"""Seconds that a script has beyond its own limit, to clean up, before the channel is closed over it."""

_FOLDER = Path(__file__).parent / "box"


def script(
    name: str, mark: str, limit: int, place: str, settings: Mapping[str, object], words: Sequence[str] = ()
) -> str:
    """The text of a script with its settings before it.

    It stands in braces: the shell reads a compound command to its end before it runs any of it.
    """
    given = {"MARK": mark, "LIMIT": limit, "PLACE": place, **settings}
    lines = [f"{key}={shlex.quote(str(value))}" for key, value in given.items()]
    lines.append(f"set -- {shlex.join(words)}")
    parts = [(_FOLDER / f"{part}.sh").read_text() for part in ("prelude", name)]
    return "{\n" + "\n".join([*lines, *parts]) + "exit 0\n}\n"


def ask(
    connection: Any,
    name: str,
    limit: int,
    place: str = "",
    settings: Mapping[str, object] | None = None,
    words: Sequence[str] = (),
) -> Said:
    """Run the script `name` for `limit` seconds at most; `place` is where it may make its folder.

    Stdin stays open meanwhile: its end tells the script that we are gone. Raises NoAnswer when nothing comes
    back, or more than any script of ours says.
    """
    mark = new_mark()
    output, error = exchange(connection, script(name, mark, limit, place, settings or {}, words), limit)
    said = parse(output, mark)
    if not said.sections:
        first = next((line for line in (*error.splitlines(), *output.splitlines()) if line.strip()), "")
        raise NoAnswer(
            f"the box runs no commands over ssh{f' ({first.strip()[:200]!r})' if first else ''}",
            "accept needs a login with a POSIX shell there",
        )
    return said


def new_mark() -> str:
    return f"@@{secrets.token_hex(8)}"


def exchange(connection: Any, text: str, limit: int) -> tuple[str, str]:
    """What a shell on the box prints that is fed `text`: its output and what it said on stderr."""
    deadline = time.monotonic() + limit + GRACE
    output, error = bytearray(), bytearray()
    refused: OSError | None = None
    channel = None
    try:
        channel = connection.transport.open_session(timeout=GRACE)
        channel.settimeout(GRACE)
        channel.exec_command("exec sh -s")
        try:
            channel.sendall(text.encode())
        except OSError as problem:
            # Nobody reads the script; what was said instead may tell why.
            refused = problem
        channel.settimeout(0.2)
        while time.monotonic() < deadline:
            try:
                piece = channel.recv(65536)
            except TimeoutError:
                piece = None
            while channel.recv_stderr_ready():
                error += channel.recv_stderr(65536)
            if piece == b"":
                break
            output += piece or b""
            if len(output) + len(error) > MOST_OUTPUT:
                raise NoAnswer("the box says more than any script of ours prints", "look at its shell")
        if refused and not output and not error:
            raise refused
    except (paramiko.SSHException, OSError, EOFError) as problem:
        raise NoAnswer(
            f"the connection to the box was lost ({str(problem).strip() or type(problem).__name__})",
            "run it again; what was begun on the box cleans up after itself",
        ) from None
    finally:
        if channel is not None:
            channel.close()
    return output.decode(errors="replace"), error.decode(errors="replace")
