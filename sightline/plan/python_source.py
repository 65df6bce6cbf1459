"""Where a Python that the release takes can come from, when the host has none that can make environments.

In this order: the distribution's packages, those of a repository that a person names, a build that uv brings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sightline.plan.reading import read, read_or_none
from sightline.plan.situation import Situation
from sightline.plan.versions import version_tuple
from sightline.pythons import addresses, key

Source = Literal["found", "adopted", "packages", "repository", "managed"]

DISTRIBUTIONS = {
    ("debian", "12"): ("3.11",),
    ("debian", "13"): ("3.13",),
    ("ubuntu", "22.04"): ("3.10", "3.11"),
    ("ubuntu", "24.04"): ("3.12",),
}
"""Pythons that can be installed as python3.X with python3.X-venv, by os-release's ID and VERSION_ID."""

OLDEST_FOR_UV = (3, 10)
"""The oldest Python that the locked pip runs on, with which uv is fetched."""


@dataclass(frozen=True, slots=True)
class PythonChoice:
    """The Python that an environment is built with.

    `path`: where it is, or will be; `packages`: of the distribution, to be installed before; `helper`: the
    interpreter that fetches uv, for a managed one; `base`: what an adopted one brings.
    """

    path: str
    version: str
    source: Source
    packages: tuple[str, ...] = ()
    helper: str = ""
    base: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain JSON values."""
        return {
            "path": self.path,
            "version": self.version,
            "source": self.source,
            "packages": list(self.packages),
            "helper": self.helper,
            "base": dict(self.base),
        }


def usable_pythons(there: Situation) -> list[dict[str, Any]]:
    """Return the host's interpreters, in the probe's order.

    Raises:
        Unreadable: the facts hold no list of interpreters.
    """
    return [
        found
        for found in read(there.facts, "python", list)
        if isinstance(found, dict)
        and isinstance(found.get("path"), str)
        and isinstance(found.get("version"), str)
    ]


def fits(there: Situation, version: str) -> bool:
    """Whether the release takes Python `version`."""
    span = there.release["python"]
    return version_tuple(span["minimum"]) <= version_tuple(version) < version_tuple(span["below"])


def may_install(there: Situation) -> bool:
    """Whether packages of the distribution can be installed: as root, with dpkg."""
    uid = read_or_none(there.facts, "uid", int)
    return uid == 0 and read_or_none(there.facts, "packages.manager", str) == "dpkg"


def ways(there: Situation) -> Iterator[PythonChoice]:
    """Yield every way to a Python that is not there yet, the best first; none where some are named."""
    if read_or_none(there.settings, "pythons_named", bool):
        return
    wanted = read_or_none(there.settings, "python_source", str) or "auto"
    if wanted == "auto":
        yield from _of_distribution(there)
    if wanted in ("auto", "repository"):
        yield from _of_repository(there)
    if wanted in ("auto", "uv"):
        yield from _managed(there)


def places(there: Situation) -> list[str]:
    """Return where the managed Python may lie; the host must reach one of them."""
    listed = read_or_none(there.settings, "python_list", str)
    if listed:
        return [listed]
    _, build = _newest(there)
    mirror = read_or_none(there.settings, "python_mirror", str) or ""
    return addresses(build, read(there.facts, "arch", str), mirror) if build else []


def _of_distribution(there: Situation) -> Iterator[PythonChoice]:
    if not may_install(there):
        return
    for found in usable_pythons(there):
        # Debian and Ubuntu pack venv apart from the Python that they install anyway.
        if fits(there, found["version"]) and found["path"].startswith("/usr/bin/"):
            yield PythonChoice(
                found["path"], found["version"], "packages", (f"python{minor_of(found['version'])}-venv",)
            )
    offered = DISTRIBUTIONS.get(distribution_of(there), ())
    for minor in reversed(offered):
        if fits(there, minor):
            names = (f"python{minor}", f"python{minor}-venv")
            yield PythonChoice(f"/usr/bin/python{minor}", minor, "packages", names)


def _managed(there: Situation) -> Iterator[PythonChoice]:
    root = read_or_none(there.settings, "root", str)
    arch = read_or_none(there.facts, "arch", str)
    helper, packages = _helper(there)
    minor, build = _newest(there)
    if build is None or not helper or not root or arch not in ("x86_64", "aarch64"):
        return
    # Somebody's own list of builds may have any patch release of that version.
    version = minor if read_or_none(there.settings, "python_list", str) else build["version"]
    path = f"{root}/python/{key(version, arch)}/bin/python{minor}"
    yield PythonChoice(path, version, "managed", packages, helper)


def _of_repository(there: Situation) -> Iterator[PythonChoice]:
    minor, _ = _newest(there)
    if minor and may_install(there) and read_or_none(there.settings, "python_repository", dict):
        names = (f"python{minor}", f"python{minor}-venv")
        yield PythonChoice(f"/usr/bin/python{minor}", minor, "repository", names)


def _helper(there: Situation) -> tuple[str, tuple[str, ...]]:
    """An interpreter that can fetch uv, and the packages that it lacks for that; ("", ()) without one."""
    able = [found for found in usable_pythons(there) if version_tuple(found["version"]) >= OLDEST_FOR_UV]
    for found in able:
        if found.get("venv") is True:
            return found["path"], ()
    if may_install(there):
        for found in able:
            if found["path"].startswith("/usr/bin/"):
                return found["path"], (f"python{minor_of(found['version'])}-venv",)
    return "", ()


def _newest(there: Situation) -> tuple[str, dict[str, str] | None]:
    """The newest minor version that the release takes and uv brings, and its build."""
    builds = read_or_none(there.settings, "python_builds", dict) or {}
    fitting = [minor for minor in builds if fits(there, minor)]
    newest = max(fitting, key=version_tuple, default="")
    return newest, builds.get(newest)


def distribution_of(there: Situation) -> tuple[str, str]:
    """Return os-release's ID and VERSION_ID, as far as the facts have them."""
    return (
        read_or_none(there.facts, "distribution.id", str) or "",
        read_or_none(there.facts, "distribution.version", str) or "",
    )


def minor_of(version: str) -> str:
    """Return the minor version: "3.11.2" -> "3.11"."""
    return ".".join(str(number) for number in version_tuple(version)[:2])
