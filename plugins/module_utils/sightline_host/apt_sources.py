"""Sources of packages that are added beside the host's own, which stay as they are."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .apt import Apt, AptProblem
from .openpgp import KeyProblem, armoured, expect

DISTRIBUTIONS = ("Debian", "Ubuntu")
"""Origins, as signed package lists state them, whose further parts are asked for."""

_KEY_SECONDS = 60
_KEY_BYTES = 1 << 20


@dataclass(frozen=True)
class Repository:
    """A repository of somebody else's, trusted by the fingerprint of its key.

    `suite` ending in "/" is a folder without parts. `key` is an address that urllib opens.
    """

    name: str
    uri: str
    key: str
    fingerprint: str
    suite: str = "/"
    components: tuple[str, ...] = ()

    def files(self, key: bytes) -> dict[str, bytes]:
        """What to write for it, path to content; `key` stands in the source itself, trusted for it alone."""
        parts = [f"Components: {' '.join(self.components)}"] if self.components else []
        lines = [f" {line or '.'}" for line in armoured(key).splitlines()]
        source = [
            "# Written by Sightline.", "Types: deb", f"URIs: {self.uri}", f"Suites: {self.suite}", *parts,
            "Signed-By:", *lines, "",
        ]  # fmt: skip
        return {f"etc/apt/sources.list.d/sightline-{self.name}.sources": "\n".join(source).encode()}


def fetch_key(repository: Repository) -> bytes:
    """The repository's key, once its fingerprint is the expected one. Raises AptProblem."""
    try:
        with urllib.request.urlopen(repository.key, timeout=_KEY_SECONDS) as answer:
            key = bytes(answer.read(_KEY_BYTES))
    except (OSError, ValueError) as problem:
        why = problem.reason if isinstance(problem, urllib.error.URLError) else problem
        raise AptProblem(
            f"the key of repository {repository.name}, {repository.key}, cannot be fetched ({why}): "
            "check the address, the network and the proxy, or name a mirror"
        ) from problem
    try:
        expect(key, repository.fingerprint)
    except KeyProblem as problem:
        raise AptProblem(
            f"{repository.key} holds {problem}: nothing was installed from it. If the repository has a "
            "new key, look its fingerprint up where its owner publishes it, and set that"
        ) from problem
    return key


def further_components(apt: Apt, wanted: Sequence[str], name: str) -> dict[str, bytes]:
    """Files of the set `name` that ask the host's own distribution for the parts `wanted` (contrib ...) too.

    Each of the host's sources is repeated as it stands, with other parts. Nothing for parts that are asked
    for already. Raises AptProblem where no source is the distribution's.
    """
    present: dict[tuple[str, str], set[str]] = {}
    for target in apt.asked():
        place = (target.get("Repo-URI", ""), target.get("Release", ""))
        present.setdefault(place, set()).add(target.get("Component", ""))
    entries: dict[str, set[tuple[str, str]]] = {}
    for target in apt.lists():
        if target.get("Origin") in DISTRIBUTIONS:
            place = (target.get("Repo-URI", ""), target.get("Release", ""))
            if target.get("Component") == "main":
                entries.setdefault(target.get("Sourcesentry", ""), set()).add(place)
    if not entries:
        raise AptProblem(
            f"none of the host's package sources is {' or '.join(DISTRIBUTIONS)}'s own: "
            "see apt-cache policy, and give it one (/etc/apt/sources.list.d)"
        )
    texts: dict[str, list[str]] = {}
    for entry, places in sorted(entries.items()):
        missing = [part for part in wanted if any(part not in present[place] for place in places)]
        file, _, number = entry.rpartition(":")
        if missing:
            kind = "sources" if file.endswith(".sources") else "list"
            text = Path(file).read_text(errors="replace")
            texts.setdefault(kind, []).append(_repeat(kind, text, int(number), missing))
    return {
        f"etc/apt/sources.list.d/sightline-{name}-components.{kind}": (
            "# Written by Sightline: further parts of the sources that are there.\n"
            + ("\n\n" if kind == "sources" else "\n").join(found)
            + "\n"
        ).encode()
        for kind, found in texts.items()
    }


def _repeat(kind: str, text: str, number: int, components: Sequence[str]) -> str:
    """Entry `number` (counted from 1: stanzas of .sources, lines of .list) with other components."""
    if kind == "list":
        line = text.splitlines()[number - 1].partition("#")[0].strip()
        head = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?\S+\s+\S+", line)
        return f"{head[0] if head else line} {' '.join(components)}"
    found = _entries(text)[number - 1]
    found["Components"] = f"Components: {' '.join(components)}"
    found["Types"] = "Types: deb"
    return "\n".join(found.values())


def _entries(text: str) -> list[dict[str, str]]:
    """Stanzas of a .sources file: a field's name to its lines, comments left out."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    stanzas: list[dict[str, str]] = [{}]
    name = ""
    for line in lines:
        if not line.strip():
            if stanzas[-1]:
                stanzas.append({})
        elif line[0].isspace() and name:
            stanzas[-1][name] += f"\n{line}"
        else:
            name = line.partition(":")[0].strip().title()
            stanzas[-1][name] = line
    return [stanza for stanza in stanzas if stanza]


def uris(files: Mapping[str, bytes]) -> list[str]:
    """Addresses of the sources among `files`, as further_components and Repository.files made them."""
    found: list[str] = []
    for name, content in files.items():
        text = content.decode(errors="replace")
        if name.endswith(".sources"):
            found += [
                word for line in re.findall(r"^URIs: (.*)$", text, re.M | re.I) for word in line.split()
            ]
        elif name.endswith(".list"):
            found += re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)", text, re.M)
    return list(dict.fromkeys(uri.rstrip("/") for uri in found))
