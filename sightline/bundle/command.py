"""The command line of scripts/bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sightline.bundle.making import Wish, make, pack
from sightline.bundle.manifest import Bundle, BundleProblem, read_bundle
from sightline.bundle.wheels import own_python
from sightline.catalogue import CatalogueError, load_model, load_release
from sightline.plan.render import human_bytes

_TEACH = """\
What it does: brings everything that a deployment would fetch into the folder: wheels of the release's lock
files (and of the controller's and supervisord's), the model's files unless they are in this checkout, and
the packages with which a bare host of this machine's distribution can make environments. Run it where there
is a network, on a machine of the hosts' architecture. Cut off, the same command goes on.

Then, with no network at all:
  scripts/up -i inventory/mine -e sightline_bundle=FOLDER
On a controller that has none either, before that: export PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER/wheels

examples:
  scripts/bundle /srv/bundle                                       the canary on a CPU
  scripts/bundle /srv/bundle --model qwen2.5-vl-7b --release cu124 --python python3.12
  scripts/bundle /srv/bundle --tar                                 and /srv/bundle.tar, to carry away
  scripts/bundle /srv/bundle --check                               is every file what it should be?

exit codes: 0 made, or whole; 1 not whole (--check); 2 not made (the reason is printed); 130 ctrl-C
"""


def main(words: Sequence[str] | None = None) -> int:
    """Make a bundle or check one; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/bundle",
        description="Pack everything that a deployment needs, for hosts with no network.",
        epilog=_TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where it is made, or lies (or its tar)")
    parser.add_argument("--model", action="append", help="of the catalogue; may be repeated (canary)")
    parser.add_argument("--release", action="append", help="may be repeated (default: cpu)")
    parser.add_argument(
        "--python", action="append", metavar="PROGRAM",
        help="a Python of the hosts' minor version; may be repeated (default: the one that runs this)",
    )  # fmt: skip
    parser.add_argument("--source", action="append", default=[], help="of models; as scripts/fetch takes it")
    parser.add_argument("--no-packages", action="store_true", help="leave the distribution's packages out")
    parser.add_argument("--tar", action="store_true", help="write FOLDER.tar too")
    parser.add_argument("--check", action="store_true", help="make nothing: read and hash every file")
    parser.add_argument("--json", action="store_true", help="print what it holds as one JSON object")
    given = parser.parse_args(words)
    try:
        return _check(given) if given.check else _make(given)
    except (BundleProblem, CatalogueError) as problem:
        print(f"bundle: {problem}", file=sys.stderr)
    except OSError as problem:
        print(f"bundle: {problem.filename or given.folder}: {problem.strerror or problem}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bundle: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 2


def _make(given: argparse.Namespace) -> int:
    wish = Wish(
        models=[load_model(name) for name in given.model or ["canary"]],
        releases=[load_release(name) for name in given.release or ["cpu"]],
        pythons=given.python or [own_python()],
        packages=not given.no_packages,
        sources=given.source,
    )
    folder: Path = given.folder.absolute()
    if folder.exists() and not _ours(folder):
        raise BundleProblem(f"{folder} is there and no bundle: name another folder, or remove it")
    bundle = make(folder, wish, lambda line: print(f"  {line}", file=sys.stderr, flush=True))
    if given.tar:
        pack(bundle, folder.with_name(f"{folder.name}.tar"))
    _tell(given, bundle, [])
    return 0


def _ours(folder: Path) -> bool:
    """Whether what lies there is a bundle, whole or begun, and nothing else."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= {
        "bundle.json", ".bundle.json.new", "wheels", "models", "packages",
    }  # fmt: skip


def _check(given: argparse.Namespace) -> int:
    bundle = read_bundle(given.folder)
    with bundle.opened() as opened:
        wrong = list(opened.wrong())
    _tell(given, bundle, wrong)
    return 1 if wrong else 0


def _tell(given: argparse.Namespace, bundle: Bundle, wrong: list[str]) -> None:
    minors = sorted({minor for pythons in bundle.wheels.values() for minor in pythons})
    size = sum(note.size for note in bundle.files.values())
    if given.json:
        told = {
            "schema": 1, "bundle": str(bundle.place), "machine": bundle.machine, "pythons": minors,
            "models": dict(bundle.models), "distribution": list(bundle.distribution),
            "files": len(bundle.files), "bytes": size, "wrong": wrong,
        }  # fmt: skip
        print(json.dumps(told, indent=1))
        return
    for path in wrong:
        print(f"{path}: not what {bundle.place} says it is: make it again")
    packages = f", packages of {' '.join(bundle.distribution)}" if bundle.distribution else ""
    print(
        f"{bundle.place}: {len(bundle.files)} files, {human_bytes(size)}; {', '.join(bundle.models)}; "
        f"Python {', '.join(minors)} on {bundle.machine}{packages}{'' if wrong else '; whole'}"
    )


def run() -> NoReturn:
    """The program."""
    sys.exit(main())
