"""Load the catalogue's entries and check each of them whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sightline.catalogue.errors import CatalogueError, Problem
from sightline.catalogue.marks import mark_problems, nulls_of
from sightline.catalogue.reading import read_entry
from sightline.catalogue.schema import Kind, schema_problems

CATALOGUE = Path(__file__).resolve().parents[2] / "catalogue"

Entry = dict[str, Any]


def names(kind: Kind, root: Path = CATALOGUE) -> list[str]:
    """Return the names of all entries of one kind, sorted; `root` is the catalogue's folder."""
    return sorted(path.stem for path in (root / f"{kind}s").glob("*.yml"))


def load_model(name: str, root: Path = CATALOGUE) -> Entry:
    """Return the model entry called `name`.

    Raises:
        CatalogueError: there is none (near names are suggested), or it breaks a rule.
    """
    return _load("model", name, root)


def load_release(name: str, root: Path = CATALOGUE) -> Entry:
    """Return the release entry called `name`.

    Raises:
        CatalogueError: there is none (near names are suggested), or it breaks a rule.
    """
    return _load("release", name, root)


def shown_name(kind: Kind, name: str) -> str:
    """Return how messages name an entry's file."""
    return f"catalogue/{kind}s/{name}.yml"


def _load(kind: Kind, name: str, root: Path) -> Entry:
    there = names(kind, root)
    shown = shown_name(kind, name)
    if name not in there:
        near = get_close_matches(str(name), there, n=1, cutoff=0.4)
        remedy = f"did you mean {near[0]!r}? " if near else ""
        remedy += f"There are: {', '.join(there) or 'none'}"
        raise CatalogueError([Problem(shown, "", f"there is no {kind} called {name!r}", remedy)])
    entry = read_entry(root / f"{kind}s" / f"{name}.yml", shown)
    problems = entry_problems(kind, entry, shown)
    if not problems and entry["name"] != name:
        what = f"says {entry['name']!r}, but the file is called {name}.yml"
        problems.append(Problem(shown, "name", what, "give both the same name"))
    if problems:
        raise CatalogueError(problems)
    return entry


def entry_problems(kind: Kind, entry: Any, shown: str) -> list[Problem]:
    """Return everything that is wrong with one entry by itself; empty when it is right."""
    problems = schema_problems(kind, entry, shown)
    if problems:
        return problems
    problems = mark_problems(kind, entry, shown)
    if kind == "model":
        for path, times in Counter(file["path"] for file in entry["files"]).items():
            if times > 1:
                what = f"{path!r} stands there {times} times"
                problems.append(Problem(shown, "files", what, "keep one line for each file"))
    elif _python(entry["python"]["minimum"]) >= _python(entry["python"]["below"]):
        what = f"no version lies between {entry['python']['minimum']} and {entry['python']['below']}"
        problems.append(Problem(shown, "python", what, "`below` is the first version that will not do"))
    return problems


def catalogue_problems(root: Path = CATALOGUE) -> list[Problem]:
    """Return everything that is wrong with the whole catalogue, ties between entries included."""
    problems: list[Problem] = []
    loaded: dict[Kind, dict[str, Entry]] = {"model": {}, "release": {}}
    kinds: tuple[Kind, ...] = ("model", "release")
    for kind in kinds:
        for name in names(kind, root):
            try:
                loaded[kind][name] = _load(kind, name, root)
            except CatalogueError as error:
                problems += error.problems
    releases = loaded["release"]
    for name, model in loaded["model"].items():
        for position, serving in enumerate(model["engines"]["can_serve"]):
            key = f"engines.can_serve[{position}].releases"
            shown = shown_name("model", name)
            for release in serving["releases"]:
                if release not in names("release", root):
                    remedy = f"there are: {', '.join(names('release', root))}"
                    problems.append(Problem(shown, key, f"there is no release {release!r}", remedy))
                elif release in releases and not _carries(releases[release], serving):
                    what = f"release {release!r} carries no {serving['engine']} with that loader"
                    remedy = f"correct it, or {shown_name('release', release)}"
                    problems.append(Problem(shown, key, what, remedy))
    return problems


def _carries(release: Entry, serving: Entry) -> bool:
    loaders = [engine["loaders"] for engine in release["engines"] if engine["engine"] == serving["engine"]]
    return bool(loaders) and ("loader" not in serving or serving["loader"] in loaders[0])


def missing_facts(model: Entry) -> list[str]:
    """Return what must be found out before the model can be fetched and verified; empty when all is known."""
    missing = []
    if nulls_of("commit", model):
        missing.append("the commit")
    if not model["files"] or model["provenance"]["file_list"]["status"] == "unknown":
        missing.append("the list of files")
    for group, what in (("file_sizes", "the exact size"), ("file_hashes", "the sha256")):
        count = len(nulls_of(group, model))
        if count:
            missing.append(f"{what} of {count} of {len(model['files'])} files")
    return missing


def files_fingerprint(model: Entry) -> str:
    """Return the sha256 (64 hexadecimal digits) that stands for the model's whole list of files.

    It covers each file's path, size and sha256, so it changes when any file does. sightline-fetch stamps a
    folder with the same one (serve/sightline_fetch/wanted.py).
    """
    lines = sorted(f"{file['path']}\0{file['size']}\0sha256\0{file['sha256']}\n" for file in model["files"])
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _python(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
