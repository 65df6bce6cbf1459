"""Choose the Python that the environment is built with."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.outcome import Objection
from sightline.plan.reading import read
from sightline.plan.situation import Situation


def version_tuple(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: '3.11.2' -> (3, 11, 2), '3.13.0rc1' -> (3, 13, 0).

    What has no leading number gives an empty tuple, which is below every version.
    """
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits.isascii() or not digits:
            break
        numbers.append(int(digits[:9]))
        if digits != part:
            break
    return tuple(numbers)


def fitting_pythons(there: Situation) -> list[dict[str, object]]:
    """Return the host's interpreters whose version the release takes, in the order that the probe gave them.

    Raises:
        Unreadable: the facts hold no list of interpreters.
    """
    lowest = version_tuple(there.release["python"]["minimum"])
    above = version_tuple(there.release["python"]["below"])
    return [
        found
        for found in read(there.facts, "python", list)
        if isinstance(found, dict)
        and isinstance(found.get("path"), str)
        and isinstance(found.get("version"), str)
        and lowest <= version_tuple(found["version"]) < above
    ]


def choose_python(there: Situation) -> dict[str, str] | None:
    """Return path and version of the interpreter to build the environment with; None where none will do."""
    for found in fitting_pythons(there):
        if found.get("venv") is True:
            return {"path": str(found["path"]), "version": str(found["version"])}
    return None


def python_fits(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """An interpreter that the release takes is there and can make environments, where one must be built."""
    if "environment" not in changing or choose_python(there) is not None:
        return
    span = f">= {there.release['python']['minimum']}, < {there.release['python']['below']}"
    why = f"release {there.release['name']} takes Python {span}"
    fitting = fitting_pythons(there)
    if fitting:
        path = fitting[0]["path"]
        yield Objection(
            f"{path} cannot make environments: its venv module is missing",
            why,
            "install it (Debian and Ubuntu: apt install python3-venv), then run this again",
        )
        return
    versions = [
        str(found.get("version")) for found in read(there.facts, "python", list) if isinstance(found, dict)
    ]
    yield Objection(
        f"the host has {', '.join(['Python ' + version for version in versions]) or 'no Python'}",
        why,
        "install a Python of that range beside the system's own, or use a newer distribution",
    )
