"""Whether a Python that the host brings can be built on, because its PyTorch is the release's already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation
from sightline.plan.versions import version_tuple

_PRIVATE = ("/root", "/home")
"""Places that a service under another user, or behind ProtectHome, cannot look into."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """A Python to build on: its interpreter and version, the folder that torch lies in, and what is there."""

    path: str
    version: str
    prefix: str
    kind: str
    packages: str
    torch: str

    @property
    def identity(self) -> dict[str, str]:
        """What makes an environment built on it another one."""
        return {**self.base, "python": self.version}

    @property
    def base(self) -> dict[str, str]:
        """What the module that builds the environment must know."""
        return {"packages": self.packages, "kind": self.kind, "torch": self.torch}


def decide_adoption(there: Situation) -> tuple[Adoption | None, list[str]]:
    """Return the first PyTorch of the host that satisfies the release, and why each before it does not.

    `python_env` of the settings decides whether any is looked at: own (none), adopt, or auto: then only for
    a release with CUDA, where it saves gigabytes, and if nobody has named the interpreters to take.
    """
    mode = read_or_none(there.settings, "python_env", str) or "auto"
    named = read_or_none(there.settings, "pythons_named", bool)
    if "torch" not in there.release["packages"]:
        return None, ["the release needs none"] if mode == "adopt" else []
    if mode == "own" or (mode == "auto" and (there.release["accelerator"] != "cuda" or named)):
        return None, []
    reasons: list[str] = []
    for found in read_or_none(there.facts, "torch", list) or []:
        against = next(_objections(there, found), None)
        if against is None:
            return _adoption(found), reasons
        reasons.append(f"PyTorch in {read_or_none(found, 'prefix', str) or '?'} is not used: {against}")
    return None, reasons


def one_is_adopted(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """There is a Python to build on, where one was asked for."""
    if "environment" not in changing or read_or_none(there.settings, "python_env", str) != "adopt":
        return
    adoption, reasons = decide_adoption(there)
    if adoption is None:
        yield Objection(
            "the host brings no PyTorch that could be built on",
            "; ".join(reasons) or "none was found in the places where images put it",
            "use sightline_python_env=own (everything is fetched), or an image with " + wanted(there.release),
        )


def wanted(release: Mapping[str, Any]) -> str:
    """Return what an image must bring for this release, in words."""
    span = release["python"]
    parts = [
        f"Python {span['minimum']} or newer below {span['below']}",
        *(f"PyTorch {version}" for version in (release["packages"].get("torch"),) if version),
    ]
    if release["accelerator"] == "cuda":
        parts += [f"CUDA {release['cuda']}", f"cuDNN {release['cudnn']}"]
    return ", ".join(parts)


def _adoption(found: dict[str, Any]) -> Adoption:
    return Adoption(
        path=found["python"],
        version=found["python_version"],
        prefix=found["prefix"],
        kind=found["kind"],
        packages=found["packages"],
        torch=found["version"],
    )


def _objections(there: Situation, found: Any) -> Iterator[str]:
    """Everything that speaks against building on `found`, the plainest first."""
    if not isinstance(found, dict):
        yield "it could not be read"
        return
    release = there.release
    version = read_or_none(found, "version", str) or "?"
    if version.partition("+")[0] != release["packages"]["torch"].partition("+")[0]:
        yield f"it is {version}, the release has {release['packages']['torch']}"
    cuda = read_or_none(found, "cuda", str)
    if version_tuple(cuda or "")[:2] != version_tuple(release["cuda"] or "")[:2]:
        yield f"it is built for {f'CUDA {cuda}' if cuda else 'CPUs only'}, not for {_computing(release)}"
    if release["cudnn"]:
        cudnn = read_or_none(found, "cudnn.version", str)
        if not cudnn or not _same_cudnn(cudnn, release["cudnn"]):
            yield f"its cuDNN is {cudnn or 'not to be found'}, not {release['cudnn']}"
    yield from _differing_libraries(there, found)
    python = read_or_none(found, "python_version", str) or ""
    span = release["python"]
    if not version_tuple(span["minimum"]) <= version_tuple(python)[:2] < version_tuple(span["below"]):
        yield f"it is for Python {python or '?'}, the release takes >= {span['minimum']}, < {span['below']}"
    if not all(read_or_none(found, key, str) for key in ("python", "prefix", "kind", "packages")):
        yield "its interpreter was not found"
    elif found.get("venv") is not True:
        yield f"{found['python']} cannot make environments: its venv module is missing"
    elif hidden := _hidden_from_service(there, found["packages"]):
        yield hidden


def _differing_libraries(there: Situation, found: dict[str, Any]) -> Iterator[str]:
    """NVIDIA's wheels that are there must be those of the lock; torch may also come without any."""
    pins = read_or_none(there.settings, "libraries", dict) or {}
    there_are = read_or_none(found, "libraries", dict) or {}
    for name, version in pins.items():
        if there_are and there_are.get(name) != version:
            yield f"it has {name} {there_are.get(name) or 'not'}, the lock says {version}"


def _same_cudnn(found: str, wanted: str) -> bool:
    """Whether they are one release of cuDNN. The fourth number is the build's, which files do not name."""
    one, other = version_tuple(found), version_tuple(wanted)
    return len(one) >= 3 and all(a == b for a, b in zip(one, other, strict=False))


def _hidden_from_service(there: Situation, packages: str) -> str | None:
    """Why the service could not read what lies there; None when it can."""
    if not packages.startswith(tuple(f"{place}/" for place in _PRIVATE)):
        return None
    user = read_or_none(there.settings, "service.user", str)
    me = read_or_none(there.facts, "user", str)
    root = read_or_none(there.settings, "root", str) or ""
    if user and me and user != me:
        return f"the service's user {user} could not read {packages}"
    unit = read_or_none(there.settings, "service.manager", str) == "systemd"
    if unit and not root.startswith(_PRIVATE):
        return f"its unit sees nothing below {packages.split('/')[1]!r}"
    return None


def _computing(release: Mapping[str, Any]) -> str:
    return f"CUDA {release['cuda']}" if release["cuda"] else "CPUs only"
