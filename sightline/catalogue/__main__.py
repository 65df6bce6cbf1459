"""`scripts/catalogue`: check, show and stamp the catalogue's entries."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from sightline.catalogue.entries import catalogue_problems, load_model, load_release, names
from sightline.catalogue.errors import CatalogueError, Problem
from sightline.catalogue.folder import folder_problems, stamp
from sightline.catalogue.showing import model_text, overview, release_text

_HELP = """examples:
  scripts/catalogue check                  hold every entry against its schema and this repository
  scripts/catalogue show                   list all models and releases
  scripts/catalogue show canary            one entry: source, engines, and what of it was checked here
  scripts/catalogue stamp canary           write the entry's files list anew after the weights changed

What an entry says and how to write one: docs/catalogue.md.
Exit: 0 right, 1 something is wrong, 2 bad arguments."""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/catalogue",
        description="Check, show and stamp the catalogue of models and releases.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (("check", "check every entry"), ("show", "show all entries, or one")):
        command = commands.add_parser(name, help=about)
        command.add_argument("--json", action="store_true", help="for programs")
    commands.choices["show"].add_argument("name", nargs="?", help="a model or a release")
    stamping = commands.add_parser(
        "stamp", help="write the files list of a model that lies in this repository"
    )
    stamping.add_argument("name", help="the model's name")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "check":
            return _check(chosen.json)
        if chosen.command == "stamp":
            print(f"catalogue/models/{chosen.name}.yml: {stamp(chosen.name)} files written")
            return 0
        return _show(chosen.name, chosen.json)
    except CatalogueError as error:
        print(error, file=sys.stderr)
        return 1


def _check(as_json: bool) -> int:
    problems: list[Problem] = catalogue_problems()
    if not problems:
        problems = [problem for name in names("model") for problem in folder_problems(load_model(name))]
    if as_json:
        print(json.dumps([asdict(problem) for problem in problems], indent=2))
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        if not problems:
            print(f"{len(names('model'))} models and {len(names('release'))} releases: all right")
    return 1 if problems else 0


def _show(name: str | None, as_json: bool) -> int:
    if name is None:
        print(json.dumps({"models": names("model"), "releases": names("release")}) if as_json else overview())
        return 0
    release = name in names("release")
    entry = load_release(name) if release else load_model(name)
    print(json.dumps(entry, indent=2) if as_json else release_text(entry) if release else model_text(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
