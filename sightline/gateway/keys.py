"""The keys that a gateway needs, as texts for its files: those of its replicas, and those of its clients."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HEAD = "# Written by Sightline from sightline_gateway_clients; changes here are lost at the next run.\n"


class KeysProblem(Exception):
    """A key that is not there; the message says whose, and what to do."""


def replica_keys(files: Mapping[str, str], dry: bool = False) -> str:
    """`NAME KEY` a line under a comment, the keys read from `files`. Raises KeysProblem; in a dry run one may
    be missing.
    """
    lines = ["# Written by Sightline: a replica and its key a line.\n"]
    for name, file in sorted(files.items()):
        try:
            lines_there = Path(file).read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            if dry:
                continue
            raise KeysProblem(
                f"the key of the replica {name} cannot be read on this machine ({problem}): deploy it first"
            ) from None
        # KEY or NAME KEY a line, as the servers read it; the first one is this kit's.
        keys = [words[-1] for line in lines_there if (words := line.split()) and not words[0].startswith("#")]
        if keys:
            lines.append(f"{name} {keys[0]}\n")
    return "".join(lines)


def client_keys(clients: Sequence[Mapping[str, Any]], folder: Path, dry: bool = False) -> str:
    """`NAME KEY [rpm=N] [models=A,B]` a line. A client's key lies in `folder` under its name, 0600; it is
    made when it is first asked for, and removed when the client is not named any more. Raises OSError.
    """
    lines = [HEAD]
    names = {str(client["name"]) for client in clients}
    for client in clients:
        file = folder / str(client["name"])
        if not file.exists():
            if dry:
                continue
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write("sk-sightline-" + secrets.token_urlsafe(32) + "\n")
        words = [str(client["name"]), file.read_text().strip()]
        words += [f"rpm={client['rpm']}"] if client.get("rpm") else []
        words += [f"models={','.join(client['models'])}"] if client.get("models") else []
        lines.append(" ".join(words) + "\n")
    if folder.is_dir() and not dry:
        for file in folder.iterdir():
            if file.name not in names:
                file.unlink()
    return "".join(lines)
