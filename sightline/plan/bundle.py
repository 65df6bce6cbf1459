"""Whether a bundle has what a deployment would otherwise fetch (sightline/bundle)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sightline.plan.interpreter import choose_python
from sightline.plan.outcome import Objection
from sightline.plan.python_source import distribution_of, minor_of
from sightline.plan.reading import read, read_or_none
from sightline.plan.situation import Situation


def bundle_has_the_model(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The model's files are in the bundle, unless they come from the checkout."""
    bundle = _bundle(there)
    if bundle is None or "model" not in changing or there.model["source"].get("path"):
        return
    name = there.model["name"]
    found = bundle["models"].get(name)
    if found != read(there.settings, "desired.model_fingerprint", str):
        has = ", ".join(bundle["models"]) or "no model"
        yield Objection(
            f"the bundle has {'other files of ' + name if found else 'no ' + name}",
            f"{bundle['place']} holds {has}",
            f"make it with --model {name} (scripts/bundle)",
        )


def bundle_has_the_packages(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The wheels for the Python that the environment is built with, and that Python, are in the bundle."""
    bundle = _bundle(there)
    if bundle is None or "environment" not in changing:
        return
    place, machine = bundle["place"], read(there.facts, "arch", str)
    if bundle["machine"] != machine:
        yield Objection(
            f"the bundle is for {bundle['machine']}, and the host is {machine}",
            "wheels are built for one architecture",
            f"make one on a machine that is {machine} (scripts/bundle)",
        )
        return
    choice = choose_python(there)
    if choice is None:
        return
    minor = minor_of(choice.version)
    lacking = [name for name in bundle["wanted"] if name not in bundle["locks"].get(minor, [])]
    if choice.source in ("managed", "repository"):
        yield Objection(
            f"Python {choice.version} would have to come from elsewhere, and a bundle holds none like it",
            "it holds the distribution's own Python alone",
            "install one on the host first, or name one that is there (sightline_pythons)",
        )
    elif lacking:
        yield Objection(
            f"the bundle has no wheels of {', '.join(lacking)} for Python {minor}",
            f"{place} has {_of(bundle, lacking[0])}",
            f"make it with --release {there.release['name']} and --python python{minor} (scripts/bundle)",
        )
    if choice.packages and tuple(bundle["distribution"]) != distribution_of(there):
        host = " ".join(distribution_of(there))
        yield Objection(
            f"the bundle has no packages of {host}, and {', '.join(choice.packages)} must be installed",
            f"{place} has those of {' '.join(bundle['distribution']) or 'no distribution'}",
            f"make it on a machine with {host}, or install them on the host first",
        )


def bundle_holds_the_engine(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A gateway's Caddy comes from the distribution's mirrors, and no bundle has it."""
    if _bundle(there) is not None and read_or_none(there.settings, "engine", str) == "gateway":
        yield Objection(
            "a gateway cannot come from a bundle",
            "its Caddy is a package that a bundle does not hold",
            "deploy the gateway without sightline_bundle, from where there is a network",
        )


def _bundle(there: Situation) -> dict[str, Any] | None:
    return read_or_none(there.settings, "bundle", dict) or None


def _of(bundle: dict[str, Any], lock: str) -> str:
    minors = [minor for minor, locks in bundle["locks"].items() if lock in locks]
    return f"those for Python {', '.join(minors)}" if minors else "none, for any Python"


BUNDLE_CHECKS = (
    ("service", bundle_holds_the_engine),
    ("model", bundle_has_the_model),
    ("environment", bundle_has_the_packages),
)
