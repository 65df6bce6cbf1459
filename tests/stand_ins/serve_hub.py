"""Serves the stand-in hub as a process of its own: one file of `SIZE` bytes that no compression helps with.

python tests/stand_ins/serve_hub.py SIZE     prints {"url", "repo", "commit", "path", "size", "sha256"}
"""

from __future__ import annotations

import json
import os
import sys
import threading

from hub import Hub


def main() -> None:
    data = os.urandom(int(sys.argv[1]))
    with Hub({"model.bin": data, "config.json": b"{}"}) as hub:
        told = {"url": hub.url, "repo": hub.repo, "commit": hub.commit, "path": "model.bin"}
        print(json.dumps(told | {"size": len(data), "sha256": hub.digest("model.bin")}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
