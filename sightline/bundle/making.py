"""The making of a bundle: wheels, packages, models, and in the end what says what is in it."""

from __future__ import annotations

import platform
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.bundle import debs, wheels
from sightline.bundle.manifest import NAME, Bundle, BundleProblem, Note, note_of
from sightline.bundle.wheels import Say
from sightline.catalogue import files_fingerprint, missing_facts
from sightline.fetching import OWN_FOLDER
from sightline.layout import CHECKOUT, Indexes, LockFile, read_locks

FURTHER = ("supervisor", "controller")
"""Lock files beside the release's: what runs the service without systemd, and the controller's own."""
CACHE = CHECKOUT / ".sightline/cache/pip"


@dataclass(frozen=True)
class Wish:
    """What to pack. `models` and `releases` are entries of the catalogue, `pythons` programs.

    `sources`: where models come from, as sightline-fetch takes them.
    """

    models: Sequence[dict[str, Any]]
    releases: Sequence[dict[str, Any]]
    pythons: Sequence[str]
    packages: bool
    sources: Sequence[str] = ()


def make(place: Path, wish: Wish, say: Say) -> Bundle:
    """Make the bundle in the folder `place`; one that was cut off is gone on with. Raises BundleProblem."""
    for model in wish.models:
        if missing := missing_facts(model):
            raise BundleProblem(
                f"the catalogue does not know {', '.join(missing)} of {model['name']}: complete its entry "
                "with scripts/catalogue add, where a hub can be reached"
            )
    # Until it is whole nobody can take it for one.
    (place / NAME).unlink(missing_ok=True)
    (place / "wheels").mkdir(parents=True, exist_ok=True)
    minors = {wheels.minor_of(python): python for python in wish.pythons}
    distribution = debs.distribution_here() if wish.packages else ()
    names = debs.pythons_of(distribution, list(minors)) if distribution else []
    if names:
        say(f"packages of {' '.join(distribution)}: {', '.join(names)}, and what they need")
        debs.download(names, place / "packages")
    locks = _locks(wish.releases)
    found: dict[str, dict[str, list[str]]] = {lock.sha256: {} for lock in locks}
    for minor, python in minors.items():
        with wheels.pip_of(python) as pip:
            for lock in locks:
                names = wheels.download(pip, lock, place / "wheels", CACHE, say)
                found[lock.sha256][minor] = [f"wheels/{name}" for name in names]
    from_hub = [model for model in wish.models if not model["source"].get("path")]
    for model in from_hub:
        _fetch(model, place / _folder(model), wish.sources)
    folders = ["packages"] * bool(names) + [_folder(model) for model in from_hub]
    used = {path for each in found.values() for paths in each.values() for path in paths}
    say("reading it all once more, for the hashes")
    bundle = Bundle(
        place=place,
        machine=platform.machine(),
        wheels=found,
        models={model["name"]: files_fingerprint(model) for model in wish.models},
        distribution=distribution if names else (),
        files=_notes(place, used, folders),
    )
    bundle.write()
    return bundle


def pack(bundle: Bundle, archive: Path) -> None:
    """Write the bundle as one tar, uncompressed: what is large in it is compressed already."""
    beside = archive.with_name(f".{archive.name}.new")
    try:
        with tarfile.open(beside, "w") as tar:
            for path in (NAME, *sorted(bundle.files)):
                tar.add(bundle.place / path, path)
        beside.replace(archive)
    except OSError as problem:
        beside.unlink(missing_ok=True)
        raise BundleProblem(f"{archive} cannot be written: {problem.strerror or problem}") from problem


def _locks(releases: Sequence[dict[str, Any]]) -> list[LockFile]:
    further = {"lock_files": [f"requirements/{name}.lock.txt" for name in FURTHER], "accelerator": "cpu"}
    locks = [lock for release in (*releases, further) for lock in read_locks(release, Indexes())]
    return list({lock.sha256: lock for lock in locks}.values())


def _folder(model: dict[str, Any]) -> str:
    return f"models/{model['name']}"


def _fetch(model: dict[str, Any], target: Path, sources: Sequence[str]) -> None:
    """Bring a model's files; sightline-fetch shows how far it is, and goes on from what is there."""
    entry = CHECKOUT / "catalogue/models" / f"{model['name']}.yml"
    words = ["-m", "sightline_fetch", "--entry", str(entry), "--target", str(target)]
    words += [word for source in sources for word in ("--source", source)]
    ended = subprocess.run([sys.executable, *words], cwd=CHECKOUT / "serve")
    if ended.returncode != 0:
        raise BundleProblem(f"{model['name']} did not come; the same command goes on from what is there")


def _notes(place: Path, wheels_wanted: set[str], folders: Sequence[str]) -> dict[str, Note]:
    """What the bundle has: the wheels, and all in `folders` but what a fetch keeps there for itself.

    Wheels of an earlier making that no lock wants any more are removed; a model that is not wanted now is
    left where it lies, and is no part of the bundle.
    """
    for wheel in (place / "wheels").iterdir():
        if f"wheels/{wheel.name}" not in wheels_wanted:
            wheel.unlink()
    notes = {}
    for path in sorted(path for folder in ("wheels", *folders) for path in (place / folder).rglob("*")):
        if path.is_file() and OWN_FOLDER not in path.parts:
            with path.open("rb") as content:
                notes[path.relative_to(place).as_posix()] = note_of(content)
    return notes
