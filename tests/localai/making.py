"""LocalAI's stand-in as the files that a person would fetch: an executable, and a backend's archive."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

STAND_INS = Path(__file__).resolve().parents[1] / "stand_ins"


def make_binary(at: Path, python: Path | str) -> Path:
    """`at` as an executable that runs the stand-in with `python`."""
    at.write_text(f"#!{python}\n{(STAND_INS / 'localai.py').read_text()}")
    at.chmod(0o755)
    return at


def make_backend(at: Path, python: Path | str) -> Path:
    """`at` as an archive like `docker save` writes one, with run.sh at the top of its one layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        _put(files, "run.sh", f'#!/bin/sh\nexec {python} "$(dirname "$0")/backend.py" "$@"\n'.encode(), 0o755)
        _put(files, "backend.py", (STAND_INS / "localai_backend.py").read_bytes(), 0o644)
    manifest = [
        {"Config": "config.json", "RepoTags": ["local-ai-backends:llama-cpp"], "Layers": ["layer.tar"]}
    ]
    with tarfile.open(at, mode="w") as image:
        _put(image, "manifest.json", json.dumps(manifest).encode(), 0o644)
        _put(image, "layer.tar", layer.getvalue(), 0o644)
    return at


def _put(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))
