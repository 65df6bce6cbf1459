"""Serves the stand-in hub as a process of its own: one file of `SIZE` bytes that no compression helps with.

python tests/stand_ins/serve_hub.py SIZE     prints {"url", "repo", "commit", "path", "size", "sha256"}

A file larger than memory should hold is sparse: no two MiB of it are the same, and most of each is zeros.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import tempfile
import threading

IN_MEMORY = 2_000_000_000
MIB = 1 << 20


def content(size: int) -> bytes:
    """`size` bytes, or what answers for them as bytes do."""
    if size <= IN_MEMORY:
        return os.urandom(size)
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        for first in range(0, size - MIB, MIB):
            os.pwrite(file.fileno(), os.urandom(64), first)
        return mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)  # type: ignore[return-value]


def main() -> None:
    from hub import Hub  # it lies beside this program

    data = content(int(sys.argv[1]))
    with Hub({"model.bin": data, "config.json": b"{}"}) as hub:
        told = {"url": hub.url, "repo": hub.repo, "commit": hub.commit, "path": "model.bin"}
        print(json.dumps(told | {"size": len(data), "sha256": hub.digest("model.bin")}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
