"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sightline_start.errors import StartError
from sightline_start.words import address, port

from sightline_localai import __version__
from sightline_localai.start import Settings, prepare

EPILOG = """\
examples:
  python -m sightline_localai --program localai/4.9.0 --models release/models --model models/llava \\
    --served-model-name llava --work cache/localai --api-key-file key
  python -m sightline_localai ... --check          look at everything, start nothing
  python -m sightline_localai ... -- --threads 11  words after -- go to `local-ai run`

The program folder is what the role localai makes: bin/local-ai (or an image in program.json) and backends/.
exit codes: 0 nothing in the way (--check); 1 could not start (one line says why); 2 bad arguments;
after the start those of LocalAI.
"""


def settings_from(arguments: Sequence[str] | None = None) -> tuple[Settings, bool]:
    """The settings, and whether only to look. Exits with code 2 on bad arguments."""
    made = argparse.ArgumentParser(
        prog="sightline-localai",
        description="Start LocalAI with one GGUF pair, after a look at everything that it would pass over.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"sightline-localai {__version__}")
    made.add_argument("--program", required=True, type=Path, metavar="DIR", help="folder with LocalAI")
    made.add_argument("--models", required=True, type=Path, metavar="DIR", help="NAME.yaml and its template")
    made.add_argument("--model", required=True, type=Path, metavar="DIR", help="folder with the pair")
    made.add_argument("--served-model-name", required=True, metavar="NAME", help="what clients call it")
    made.add_argument(
        "--work", required=True, type=Path, metavar="DIR", help="a folder that LocalAI may write"
    )
    made.add_argument("--host", type=address, default="127.0.0.1", metavar="ADDRESS", help="(127.0.0.1)")
    made.add_argument("--port", type=port, default=8080, metavar="N", help="(8080)")
    made.add_argument(
        "--api-key-file", required=True, type=Path, metavar="FILE", help="KEY or NAME KEY a line"
    )
    made.add_argument("--web-ui", action="store_true", help="LocalAI's pages too (off)")
    made.add_argument("--check", action="store_true", help="look at everything, start nothing")
    made.add_argument("options", nargs="*", metavar="-- OPTION", help="for `local-ai run`")
    args = made.parse_args(arguments)
    settings = Settings(
        program=args.program.absolute(),
        models=args.models.absolute(),
        weights=args.model.absolute(),
        work=args.work.absolute(),
        name=args.served_model_name,
        host=args.host,
        port=args.port,
        api_key_file=args.api_key_file,
        web_ui=args.web_ui,
        options=tuple(args.options),
    )
    return settings, args.check


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; where LocalAI starts, this process becomes it."""
    settings, only_look = settings_from(arguments)
    try:
        start = prepare(settings, os.environ)
        if only_look:
            print(f"nothing stands in the way of {settings.name}")
            return 0
        print(f"starting {' '.join(start.command[:2])}", flush=True)
        os.chdir(settings.work)
        os.execve(start.command[0], start.command, start.environment)
    except StartError as problem:
        print(f"sightline-localai: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"sightline-localai: LocalAI could not be started: {problem}.", file=sys.stderr)
        return 1
