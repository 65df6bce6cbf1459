"""The machine's own package sources, for another Debian suite: the same mirrors and the same keyrings."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One line of apt's sources: where from, which suite, which parts, and the keyring that signs it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None = None

    def line(self) -> str:
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {self.suite} {' '.join(self.components)}"


def for_suite(suite: str, root: Path = Path("/")) -> list[str]:
    """Lines for sources.list. Empty when this is no Debian: mmdebstrap then knows Debian's mirror."""
    release = _os_release(root)
    own = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not own:
        return []
    lines = []
    for source in read(root):
        first, dash, rest = source.suite.partition("-")
        if first == own and rest in ("", "updates", "security"):
            there = Source(source.uri, f"{suite}{dash}{rest}", source.components, source.signed_by)
            lines.append(there.line())
    return list(dict.fromkeys(lines))


def read(root: Path = Path("/")) -> list[Source]:
    """All enabled binary sources, of both formats of sources.list(5)."""
    folder = root / "etc/apt/sources.list.d"
    found: list[Source] = []
    for file in [root / "etc/apt/sources.list", *sorted(folder.glob("*.list"))]:
        if file.is_file():
            for line in file.read_text(errors="replace").splitlines():
                found += _one_line(line)
    for file in sorted(folder.glob("*.sources")):
        for paragraph in file.read_text(errors="replace").split("\n\n"):
            found += _paragraph(paragraph)
    return found


def proxy_options() -> list[str]:
    """apt's proxy settings on this machine, as options that apt takes."""
    told = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True)
    return [line for line in told.stdout.splitlines() if "::proxy" in line.lower() and '""' not in line]


def _one_line(line: str) -> list[Source]:
    words = line.partition("#")[0].replace("[", " [ ").replace("]", " ] ").split()
    if len(words) < 3 or words[0] != "deb":
        return []
    signed_by = None
    if words[1] == "[":
        end = words.index("]") if "]" in words else 1
        for option in words[2:end]:
            name, _, value = option.partition("=")
            signed_by = value if name == "signed-by" else signed_by
        words = [words[0], *words[end + 1 :]]
    return [Source(words[1], words[2], tuple(words[3:]), signed_by)] if len(words) >= 3 else []


def _paragraph(text: str) -> list[Source]:
    fields: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields.setdefault(name, []).extend(line.split())
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.split()
    if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"])[:1] == ["no"]:
        return []
    key = fields.get("signed-by", [])
    # A key that stands in the file itself, instead of a keyring's path, is left to apt's trusted keys.
    signed_by = key[0] if len(key) == 1 and key[0].startswith("/") else None
    return [
        Source(uri, suite, tuple(fields.get("components", [])), signed_by)
        for uri in fields.get("uris", [])
        for suite in fields.get("suites", [])
    ]


def _os_release(root: Path) -> dict[str, str]:
    found = {}
    for line in (root / "etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        found[name] = value.strip().strip('"')
    return found
