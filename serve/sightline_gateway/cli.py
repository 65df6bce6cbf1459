"""The command line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from sightline_start.errors import StartError
from sightline_start.words import address, port

from sightline_gateway import __version__
from sightline_gateway.app import replica_keys, serve
from sightline_gateway.config import litellm_config
from sightline_gateway.settings import read_settings

EPILOG = """\
settings (JSON; times in seconds, body_limit in bytes):
  {"model": "llava", "replicas": [{"name": "one", "url": "http://10.0.0.1:8642/v1", "model": "llava"}],
   "retries": 3, "cooldown": 10, "timeout": 3600, "watch_every": 5, "watch_timeout": 30,
   "body_limit": 64000000}

examples:
  python -m sightline_gateway --settings gateway.json --keys clients --replica-keys replicas
  python -m sightline_gateway --settings gateway.json --print-config

keys: one client a line, NAME KEY [rpm=N] [models=A,B]; a file that changes is read anew.
replica keys: one replica a line, NAME KEY.
exit codes: 0 ended by SIGTERM or SIGINT; 1 could not start (one line says why); 2 bad arguments.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    made = argparse.ArgumentParser(
        prog="sightline-gateway",
        description="Serve several replicas of a model under one address, and ask only those that see.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"sightline-gateway {__version__}")
    made.add_argument("--settings", required=True, type=Path, metavar="FILE", help="what it stands before")
    made.add_argument(
        "--keys", action="append", type=Path, metavar="FILE", default=[],
        help="who may ask; may be given more than once",
    )  # fmt: skip
    made.add_argument("--replica-keys", type=Path, metavar="FILE", help="the replicas' own keys")
    made.add_argument(
        "--config", type=Path, default=Path("litellm.yaml"), metavar="FILE",
        help="where LiteLLM's configuration is written (./litellm.yaml)",
    )  # fmt: skip
    made.add_argument("--host", type=address, default="127.0.0.1", metavar="ADDRESS", help="(127.0.0.1)")
    made.add_argument("--port", type=port, default=4000, metavar="N", help="(4000)")
    made.add_argument("--caddyfile", type=Path, metavar="FILE", help="run Caddy before it, with this file")
    made.add_argument("--print-config", action="store_true", help="show LiteLLM's configuration and end")
    args = made.parse_args(arguments)
    # Ours alone: LiteLLM writes its own lines, and would write them twice.
    told = logging.StreamHandler()
    told.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    ours = logging.getLogger("sightline_gateway")
    ours.addHandler(told)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    try:
        settings = read_settings(args.settings)
        if args.print_config:
            print(yaml.safe_dump(litellm_config(settings), sort_keys=False), end="")
            return 0
        if not args.keys:
            made.error("the following arguments are required: --keys")
        keys = replica_keys(settings, args.replica_keys)
        place = (args.host, args.port)
        return serve(settings, tuple(args.keys), keys, args.config, place, args.caddyfile, args.replica_keys)
    except StartError as problem:
        print(f"sightline-gateway: {problem}", file=sys.stderr)
        return 1
