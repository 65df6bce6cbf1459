"""Choose the Python that the environment is built with."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.adopt import decide_adoption
from sightline.plan.apt import apt_is_free
from sightline.plan.outcome import Objection
from sightline.plan.python_source import PythonChoice, fits, may_install, places, usable_pythons, ways
from sightline.plan.reading import Unreadable, read_or_none
from sightline.plan.situation import Situation


def choose_python(there: Situation) -> PythonChoice | None:
    """Return the interpreter to build the environment with, and how it comes; None where none will do.

    Raises:
        Unreadable: the facts hold no list of interpreters.
    """
    adoption, _ = decide_adoption(there)
    if adoption:
        return PythonChoice(adoption.path, adoption.version, "adopted", base=adoption.base)
    if (read_or_none(there.settings, "python_source", str) or "auto") == "auto":
        for found in usable_pythons(there):
            if fits(there, found["version"]) and found.get("venv") is True:
                return PythonChoice(found["path"], found["version"], "found")
    return next((way for way in ways(there) if way.source != "managed" or _answers(there)), None)


def python_to_fetch(there: Situation) -> list[str]:
    """Return where the Python may lie that the host lacks, for it to be asked; empty when it lacks none."""
    try:
        choice = choose_python(there)
        return places(there) if choice and choice.source == "managed" else []
    except Unreadable:
        return []


def _answers(there: Situation) -> bool:
    """Whether the source of managed Pythons answered; without having been asked it is believed."""
    return read_or_none(there.facts, "python_source.reachable", bool) is not False


def python_fits(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """An interpreter that the release takes is there or can be had, where an environment must be built."""
    if "environment" not in changing or choose_python(there) is not None:
        return
    span = f">= {there.release['python']['minimum']}, < {there.release['python']['below']}"
    why = f"release {there.release['name']} takes Python {span}"
    fitting = [found for found in usable_pythons(there) if fits(there, found["version"])]
    if fitting:
        yield Objection(
            f"{fitting[0]['path']} cannot make environments: its venv module is missing",
            why,
            "install it (Debian and Ubuntu: apt install python3-venv), then run this again",
        )
        return
    versions = [f"Python {found['version']}" for found in usable_pythons(there)]
    has = ", ".join(versions) or "no Python"
    if any(way.source == "managed" for way in ways(there)):
        detail = read_or_none(there.facts, "python_source.detail", str)
        has += f", and the source of uv's Pythons does not answer{f' ({detail})' if detail else ''}"
    yield Objection(f"the host has {has}", why, "; or ".join(_alternatives(there)))


def packages_can_come(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Nobody else is installing packages, where the Python needs some of the distribution."""
    if "environment" in changing and (choice := choose_python(there)) and choice.packages:
        yield from apt_is_free(there, changing)


def python_notes(there: Situation) -> list[str]:
    """Say which Python is taken where that is not plain, and why one that the host brings is not."""
    try:
        choice = choose_python(there)
    except Unreadable:
        return []
    _, notes = decide_adoption(there)
    if choice is None or choice.source == "found":
        return notes
    if choice.source == "adopted":
        return [
            *notes,
            f"the environment is built on {choice.path}, which brings PyTorch {choice.base['torch']} as the "
            "release wants it: only what is missing is fetched (sightline_python_env=own fetches all)",
        ]
    come = {"packages": "of the distribution", "managed": "as uv builds it", "repository": "as named"}
    named = f" (installs {', '.join(choice.packages)})" if choice.packages else ""
    return [*notes, f"Python {choice.version} {come[choice.source]} is installed{named}"]


def _alternatives(there: Situation) -> Iterator[str]:
    """What a person can do, the cheapest first."""
    minimum = there.release["python"]["minimum"]
    yield (
        "install a Python of that range beside the system's own and name it "
        f'(-e \'{{"sightline_pythons": ["/path/to/python{minimum}"]}}\'), or use a newer distribution'
    )
    if not read_or_none(there.settings, "pythons_named", bool):
        yield (
            "let uv bring one from a mirror of python-build-standalone that this host reaches, an address or "
            "file:///folder (-e sightline_python_mirror=...)"
        )
        if may_install(there):
            yield (
                "name a repository of packages that has it (sightline_python_repository), such as "
                "deadsnakes for Ubuntu"
            )
    if there.release["accelerator"] == "cuda":
        yield "use an image that brings it with PyTorch (docs/python.md)"
