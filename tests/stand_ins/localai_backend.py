"""Stands in for LocalAI's llama.cpp backend: llama.cpp's own server in place of its gRPC, behind a run.sh.

run.sh --addr 127.0.0.1:PORT --context N MODEL.gguf MMPROJ.gguf
"""

from __future__ import annotations

import argparse
import signal

import xllamacpp


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--addr", required=True)
    words.add_argument("--context", type=int, required=True)
    words.add_argument("pair", nargs=2)
    given = words.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = given.pair
    host, _, port = given.addr.rpartition(":")
    params.hostnames, params.port = [host], int(port)
    params.n_parallel, params.n_ctx = 1, given.context
    params.use_jinja, params.ui = True, False
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()


main()
