"""What this machine tells pip about where packages are, handed on to hosts.

A host that may not ask the same indexes as this machine would install something else, or nothing.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Settings that say where packages are. Those that name places to write to (cache-dir, log, target) stay here.
_WHERE = ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "timeout", "proxy")
_LISTS = ("extra-index-url", "find-links", "trusted-host")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class PipSettings:
    """`text` is a pip.conf (empty: nothing to say); `folders` are those of this machine that it names."""

    text: str
    folders: tuple[str, ...]


def usual_files(home: Path, root: Path = Path("/")) -> list[Path]:
    """pip's configuration files, the weakest first (pip's documentation, "Configuration")."""
    return [root / "etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"]


def read(files: list[Path], environment: Mapping[str, str]) -> PipSettings:
    """What files and PIP_ variables say together; a later file, and last the environment, wins."""
    found: dict[str, str] = {}
    certificate = False
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (OSError, configparser.Error):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                told = {name.replace("_", "-"): value for name, value in parser.items(section)}
                found |= {name: value for name, value in told.items() if name in _WHERE}
                certificate |= "cert" in told
    for name in _WHERE:
        value = environment.get(f"PIP_{name.upper().replace('-', '_')}")
        if value:
            found[name] = value
    if certificate or environment.get("PIP_CERT"):
        # The authorities of this machine are in the host's own bundle.
        found["cert"] = _BUNDLE
    if not found:
        return PipSettings("", ())
    lines = [f"{name} = {_shown(name, value)}" for name, value in sorted(found.items())]
    return PipSettings("[global]\n" + "\n".join(lines) + "\n", _folders(found))


def here() -> PipSettings:
    return read(usual_files(Path.home()), os.environ)


def _shown(name: str, value: str) -> str:
    return "".join(f"\n    {word}" for word in value.split()) if name in _LISTS else value


def _folders(found: Mapping[str, str]) -> tuple[str, ...]:
    folders = set()
    for name in ("index-url", "extra-index-url", "find-links"):
        for word in found.get(name, "").split():
            path = unquote(urlsplit(word).path) if word.startswith("file://") else word
            if not path.startswith("/"):
                continue
            folder = Path(path)
            # The pages of a simple index point at files beside it.
            if name != "find-links" and folder.name == "simple":
                folder = folder.parent
            if folder.is_dir():
                folders.add(str(folder))
    return tuple(sorted(folders))
