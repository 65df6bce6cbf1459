"""`scripts/catalogue`: check, show, stamp and extend the catalogue's entries."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from sightline.catalogue.adding import check_free, known, make_entry, usual_name, write_entry
from sightline.catalogue.entries import catalogue_problems, load_model, load_release, names
from sightline.catalogue.errors import CatalogueError, Problem
from sightline.catalogue.folder import folder_problems, stamp
from sightline.catalogue.hub import Terms, look_up, origin
from sightline.catalogue.showing import model_text, overview, release_text

PROGRAM = Path(__file__).resolve().parents[2] / "plugins/module_utils/sightline_host/imports.py"
"""What a host's Python can run by itself, from standard input too."""

_HELP = """examples:
  scripts/catalogue check                  hold every entry against its schema and this repository
  scripts/catalogue show                   list all models and releases
  scripts/catalogue show canary            one entry: source, engines, and what of it was checked here
  scripts/catalogue stamp canary           write the entry's files list anew after the weights changed
  scripts/catalogue imports cpu --python .sightline/host/env/cpu-*/bin/python
                                           whether that environment can import what the release must
  scripts/catalogue add OWNER/NAME         write an entry from what the Hub says
  scripts/catalogue add OWNER/NAME@COMMIT --source https://hf-mirror.com --only '*Q4_K*' --like canary

What an entry says and how to write one: docs/catalogue.md.
Exit: 0 right, 1 something is wrong, 2 bad arguments."""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/catalogue",
        description="Check, show, stamp and extend the catalogue of models and releases.",
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
    trying = commands.add_parser(
        "imports", help="import a release's packages by an environment's Python, and say what fails"
    )
    trying.add_argument("name", help="the release's name")
    trying.add_argument(
        "--python", required=True, metavar="PROGRAM", help="of an environment of this machine"
    )
    trying.add_argument("--json", action="store_true", help="for programs: an object a line")
    _add_words(commands.add_parser("add", help="write a model's entry from a hub"))
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "add":
            return _add(chosen)
        if chosen.command == "check":
            return _check(chosen.json)
        if chosen.command == "stamp":
            print(f"catalogue/models/{chosen.name}.yml: {stamp(chosen.name)} files written")
            return 0
        if chosen.command == "imports":
            return _imports(chosen.name, chosen.python, chosen.json)
        return _show(chosen.name, chosen.json)
    except CatalogueError as error:
        print(error, file=sys.stderr)
        return 1


def _add_words(adding: argparse.ArgumentParser) -> None:
    adding.description = (
        "Write a model's entry from what a hub says. Nulls are marked; engines are not guessed."
    )
    adding.add_argument(
        "repo", metavar="OWNER/NAME[@REVISION]", help="a branch, tag or commit; main if not said"
    )
    adding.add_argument("--source", default="https://huggingface.co", metavar="URL", help="a hub or a mirror")
    adding.add_argument("--name", help="of the entry; the repository's in small letters if not said")
    adding.add_argument(
        "--like",
        metavar="NAME",
        help="take engines, prompts, memory from that entry, and what no config.json tells",
    )
    adding.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="these files, as '*Q4_K*'"
    )
    adding.add_argument("--without", action="append", default=[], metavar="PATTERN", help="but not these")
    adding.add_argument("--replace", action="store_true", help="an entry of that name that is there already")
    adding.add_argument("--print", action="store_true", help="show it as JSON, write nothing")


def _add(chosen: argparse.Namespace) -> int:
    repo, _, revision = chosen.repo.partition("@")
    name = chosen.name or usual_name(repo)
    like = known(chosen.like)
    if not chosen.print:
        check_free(name, chosen.replace)
    origins = frozenset({origin("https://huggingface.co")})
    terms = Terms(token=os.environ.get("HF_TOKEN", "").strip(), token_for=origins)

    def say(line: str) -> None:
        print(f"  {line}", file=sys.stderr)

    found = look_up(repo, revision or "main", chosen.source, terms, chosen.only, chosen.without, say)
    entry = make_entry(found, name, like)
    if chosen.print:
        print(json.dumps(entry, indent=2))
        return 0
    path = write_entry(entry)
    print(f"catalogue/models/{path.name}: {len(entry['files'])} files at {found.commit[:12]}")
    missing = [key for group in entry["provenance"].values() for key in group.get("unknown", ())]
    if missing:
        print(f"  not known, and null: {', '.join(missing)}")
    if not entry["engines"]["can_serve"]:
        print("  who can serve it is yours to write (engines.can_serve), or to take over with --like NAME")
    print("  read it through, then: scripts/catalogue check")
    return 0


def _imports(name: str, python: str, as_json: bool) -> int:
    listed = load_release(name).get("imports", [])
    words = [one["module"] for one in listed if not one.get("needs_gpu")]
    for one in listed:
        words += ["--gpu", one["module"]] if one.get("needs_gpu") else []
    if not words:
        print(f"{name} lists no imports (catalogue/releases/{name}.yml)", file=sys.stderr)
        return 2
    try:
        return subprocess.run(
            [python, "-I", str(PROGRAM), *words, *(["--json"] if as_json else [])]
        ).returncode
    except OSError as error:
        print(f"--python {python}: {error.strerror}; name an environment's bin/python", file=sys.stderr)
        return 2


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
