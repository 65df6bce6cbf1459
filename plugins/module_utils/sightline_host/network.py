"""Who listens on a port, and whether the package index answers."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

Facts = dict[str, object]
LISTEN = "0A"


def read_port(number: int, ours_under: str, proc: str = "/proc") -> Facts:
    """State of TCP port `number`: `free`, `ours` (held by a program under `ours_under`) or `taken`.

    A holder of another user cannot be named without root: then `holder` is None.
    """
    inodes = _listening_inodes(number, Path(proc))
    if not inodes:
        return {"number": number, "state": "free", "holder": None}
    for pid in filter(str.isdigit, os.listdir(proc)):
        if _sockets_of(Path(proc) / pid) & inodes:
            try:
                command = (Path(proc) / pid / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                # It ended between the two looks; its sockets may have been inherited.
                continue
            ours = any(word.startswith(ours_under.rstrip("/") + "/") for word in command)
            name = os.path.basename(command[0]) or "?"
            return {"number": number, "state": "ours" if ours else "taken", "holder": f"{name} (pid {pid})"}
    return {"number": number, "state": "taken", "holder": None}


def free_port_near(number: int) -> int | None:
    """The first port after `number` that nobody listens on, to name in an error; None when 20 are taken."""
    for candidate in range(number + 1, min(number + 21, 65536)):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    return None


def _listening_inodes(number: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == number:
                inodes.add(fields[9])
    return inodes


def _sockets_of(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in os.listdir(process / "fd"):
            target = os.readlink(process / "fd" / descriptor)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        # The process is another user's or is gone.
        return set()
    return found


def read_index(interpreter: str, timeout: int = 20) -> Facts:
    """Whether pip of `interpreter` gets an answer from its configured index; None without a pip to ask."""
    command = [
        interpreter, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps",
        "--disable-pip-version-check",
        "--retries", "1", "--timeout", str(timeout // 2), "--dest", os.devnull, "--no-cache-dir", "pip==0",
    ]  # fmt: skip
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"reachable": False, "detail": f"no answer within {timeout} s"}
    except OSError as problem:
        return {"reachable": None, "detail": str(problem)}
    output = asked.stdout + asked.stderr
    if "No module named pip" in output:
        return {"reachable": None, "detail": "not asked: this Python has no pip"}
    # Version 0 does not exist: an index that answers lists those it has instead, and nothing is fetched.
    if "from versions: none" not in output and "from versions:" in output:
        return {"reachable": True, "detail": None}
    problems = [line for line in output.splitlines() if "rror" in line]
    return {"reachable": False, "detail": problems[0].strip()[:300] if problems else "no answer"}
