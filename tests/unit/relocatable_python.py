"""Archives as python-build-standalone makes them, of a Python of this machine, and lists of them for uv."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

_NEEDLESS = (
    "/test/",
    "/tests/",
    "__pycache__",
    "/idlelib/",
    "/tkinter/",
    "/share/",
    "/config-3.",
    "/turtledemo/",
)


def python_to_pack(minor: str) -> Path | None:
    """A Python of this machine that can be packed: a folder with bin and lib, with a shared library."""
    for folder in sorted(Path.home().glob(f".pyenv/versions/{minor}.*")):
        if (folder / f"bin/python{minor}").is_file() and (folder / f"lib/libpython{minor}.so.1.0").is_file():
            return folder
    return None


def pack(source: Path, archive: Path) -> str:
    """Pack `source` so that it runs anywhere, as `python/...`; returns the archive's sha256.

    Its programs look for their library in the folder that it was built for; here they are made to look beside
    themselves, which needs less room in the file.
    """
    built_for = str(source / "lib").encode() + b"\0"
    beside = b"$ORIGIN/../lib\0".ljust(len(built_for), b"\0")
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(source.rglob("*")):
            name = f"python/{path.relative_to(source)}"
            if path.is_dir() or path.suffix == ".a" or any(part in f"/{name}" for part in _NEEDLESS):
                continue
            entry = tar.gettarinfo(path, name)
            if not path.is_file() or path.is_symlink():
                tar.addfile(entry)
                continue
            content = path.read_bytes()
            if content.startswith(b"\x7fELF"):
                content = content.replace(built_for, beside)
            entry.size, entry.type = len(content), tarfile.REGTYPE
            tar.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def listed(version: str, url: str, sha256: str) -> str:
    """A list of one build for this machine, as uv's UV_PYTHON_DOWNLOADS_JSON_URL takes it."""
    major, minor, patch = (int(part) for part in version.split("."))
    machine = os.uname().machine
    build = {
        "name": "cpython", "arch": {"family": machine, "variant": None}, "os": "linux", "libc": "gnu",
        "major": major, "minor": minor, "patch": patch, "prerelease": "", "url": url, "sha256": sha256,
        "variant": None, "build": "1",
    }  # fmt: skip
    return json.dumps({f"cpython-{version}-linux-{machine}-gnu": build})
