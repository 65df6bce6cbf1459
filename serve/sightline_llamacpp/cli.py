"""The command line."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path

from sightline_start.errors import StartError
from sightline_start.words import address, count, port

from sightline_llamacpp import __version__
from sightline_llamacpp.server import CONTEXT, Settings, run

EPILOG = """\
examples:
  python -m sightline_llamacpp --model models/llava-1.5-7b --served-model-name llava
  python -m sightline_llamacpp --model DIR --host 0.0.0.0 --api-key-file key --max-model-len 8192

Pictures: llama.cpp fetches http(s) URLs itself, private addresses included; on a machine that reaches what
its clients must not, let them send data URLs only.
exit codes: 0 ended by SIGTERM or SIGINT; 1 could not start (one line says why); 2 bad arguments.
"""


def settings_from(arguments: Sequence[str] | None = None) -> Settings:
    """Exits with code 2 on bad arguments."""
    made = argparse.ArgumentParser(
        prog="sightline-llamacpp",
        description="Serve a GGUF pair (language model and mmproj) with llama.cpp, OpenAI-compatible.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"sightline-llamacpp {__version__}")
    made.add_argument("--model", required=True, type=Path, metavar="DIR", help="folder with the pair")
    made.add_argument("--served-model-name", metavar="NAME", help="what clients call it (the folder's name)")
    made.add_argument("--host", type=address, default="127.0.0.1", metavar="ADDRESS", help="(127.0.0.1)")
    made.add_argument("--port", type=port, default=8000, metavar="N", help="(8000)")
    made.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="KEY or NAME KEY a line; a must beyond loopback"
    )
    made.add_argument(
        "--max-model-len", type=count, default=CONTEXT, metavar="N",
        help=f"tokens of prompt and answer of one conversation ({CONTEXT})",
    )  # fmt: skip
    made.add_argument("--max-num-seqs", type=count, default=4, metavar="N", help="conversations at once (4)")
    made.add_argument("--threads", type=count, metavar="N", help="CPU threads (every core)")
    made.add_argument(
        "--gpu-layers", type=int, default=0, metavar="N", help="layers on the GPU, for a wheel with CUDA (0)"
    )
    args = made.parse_args(arguments)
    if not ipaddress.ip_address(args.host).is_loopback and not args.api_key_file:
        made.error(f"--host {args.host} is reached from other machines: give it an --api-key-file")
    return Settings(
        model=args.model,
        name=args.served_model_name or args.model.resolve().name,
        host=args.host,
        port=args.port,
        api_key_file=args.api_key_file,
        context=args.max_model_len,
        slots=args.max_num_seqs,
        threads=args.threads,
        gpu_layers=args.gpu_layers,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    settings = settings_from(arguments)
    try:
        return run(settings)
    except StartError as problem:
        print(f"sightline-llamacpp: {problem}", file=sys.stderr)
        return 1
