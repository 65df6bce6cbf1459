"""Run by the environment `llama`: llama.cpp's own HTTP server, through xllamacpp, until it is ended.

    python llama_server.py FOLDER PORT SLOTS CONTEXT

FOLDER holds one `mmproj-*.gguf` and one other .gguf; CONTEXT is of one slot, in tokens.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path


def main() -> None:
    import xllamacpp

    folder, (port, slots, context) = Path(sys.argv[1]), map(int, sys.argv[2:5])
    pair = sorted(folder.glob("*.gguf"), key=lambda file: file.name.startswith("mmproj"))
    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = (str(file) for file in pair)
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_parallel, params.n_ctx = slots, slots * context
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()


main()
