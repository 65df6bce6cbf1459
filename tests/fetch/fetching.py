"""What the tests of sightline-fetch share: files, entries, and the command as a real process."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVE = Path(__file__).resolve().parents[2] / "serve"
COMMIT = "c" * 40
MIB = 1 << 20


def content(size: int, seed: int) -> bytes:
    """Bytes that no two places share."""
    return random.Random(seed).randbytes(size)


def model() -> dict[str, bytes]:
    """One large file, some small ones, one in a folder, an odd size and an empty one."""
    return {
        "model.bin": content(6 * MIB + 12_345, 1),
        "second.bin": content(1_500_000, 2),
        "config.json": b'{"model_type": "llava"}',
        "folder/odd name+.txt": b"x",
        "empty": b"",
    }


def write_entry(folder: Path, files: Mapping[str, bytes], **other: object) -> Path:
    """A catalogue entry as JSON."""
    listed = [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
    ]
    entry = folder / "entry.json"
    entry.write_text(json.dumps({"repo": "owner/model", "commit": COMMIT, "files": listed, **other}))
    return entry


@dataclass
class Ended:
    """How the command ended. `events`: its JSON lines."""

    code: int
    events: list[dict[str, object]]
    errors: str

    def named(self, event: str) -> list[dict[str, object]]:
        return [told for told in self.events if told["event"] == event]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept.pop("HF_TOKEN", None)
    kept.pop("HF_ENDPOINT", None)
    return {**kept, "PYTHONPATH": str(SERVE), "PYTHONDONTWRITEBYTECODE": "1", **more}


def start(*words: object, **more: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "sightline_fetch", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )


def fetch(*words: object, **more: str) -> Ended:
    """Run the command to its end."""
    process = start(*words, **more)
    out, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return Ended(process.returncode, [json.loads(line) for line in out.splitlines()], errors)


def holds(target: Path, files: Mapping[str, bytes]) -> bool:
    """Whether the target has exactly these bytes."""
    return all((target / path).read_bytes() == data for path, data in files.items())
