"""A real, signed package repository with small packages that stand for large ones.

apt takes it as it takes any other: an InRelease signed by a throw-away key, lists with sizes and sha256.
"""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

ARCHITECTURE = "amd64"


def missing_programs() -> list[str]:
    """What a repository needs and this machine lacks."""
    return [name for name in ("apt-get", "dpkg-deb", "gpg") if shutil.which(name) is None]


@dataclass(frozen=True)
class Package:
    """A package: its fields, files (path to text; executable in bin/) and maintainer scripts."""

    name: str
    version: str = "1"
    depends: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


class AptRepository:
    """The repository in `folder`: flat, or with a suite and components when `suite` is given."""

    def __init__(self, folder: Path, suite: str = "", origin: str = "stand-in") -> None:
        self.folder, self.suite, self.origin = folder, suite, origin
        self.packages: list[tuple[str, str]] = []
        folder.mkdir(parents=True)
        # gpg's agent listens at a socket in there, whose path must be short.
        self._own_home = tempfile.TemporaryDirectory(prefix="sightline-gpg-")
        self._home = Path(self._own_home.name)
        self.key = self.new_key()

    @property
    def uri(self) -> str:
        return f"file:{self.folder}"

    @property
    def fingerprint(self) -> str:
        told = self._gpg("--with-colons", "--list-keys", str(self.key.stem)).decode()
        return next(line.split(":")[9] for line in told.splitlines() if line.startswith("fpr:"))

    def copy(self, folder: Path) -> AptRepository:
        """The same elsewhere, to be changed: signed by the same key."""
        other = copy.copy(self)
        shutil.copytree(self.folder, folder)
        other.folder, other.packages, other.key = folder, list(self.packages), folder / self.key.name
        return other

    def new_key(self) -> Path:
        """Make another key to sign with from now on; returns its public half's file."""
        name = f"stand-in-{len(list(self.folder.glob('*.asc')))}"
        try:
            self._gpg("--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
            file = self.folder / f"{name}.asc"
            file.write_bytes(self._gpg("--armor", "--export", name))
        finally:
            subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "gpg-agent"], check=True)
        self.key = file
        return file

    def add(self, *packages: Package, component: str = "main") -> None:
        """Build packages into it."""
        for package in packages:
            tree = self.folder / ".build" / package.name
            shutil.rmtree(tree, ignore_errors=True)
            told = {
                "Package": package.name, "Version": package.version, "Architecture": ARCHITECTURE,
                "Maintainer": "Stand-in <stand-in@example.org>", "Description": "stand-in",
                "Depends": package.depends, **package.fields,
            }  # fmt: skip
            _put(
                tree / "DEBIAN/control", "".join(f"{key}: {value}\n" for key, value in told.items() if value)
            )
            for name, text in package.scripts.items():
                _put(tree / "DEBIAN" / name, f"#!/bin/sh\nset -e\n{text}\n", 0o755)
            settings = [f"/{path}\n" for path in package.files if path.startswith("etc/")]
            if settings:
                _put(tree / "DEBIAN/conffiles", "".join(settings))
            for path, text in package.files.items():
                _put(tree / path, text, 0o755 if "bin/" in path else 0o644)
            file = (
                self.folder / "pool" / component / f"{package.name}_{package.version.replace(':', '.')}.deb"
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(file)],
                check=True, capture_output=True,
            )  # fmt: skip
            control = subprocess.run(
                ["dpkg-deb", "-f", str(file)], check=True, capture_output=True, text=True
            )
            where = file.relative_to(self.folder)
            entry = (
                f"{control.stdout}Filename: {where}\nSize: {file.stat().st_size}\n"
                f"SHA256: {hashlib.sha256(file.read_bytes()).hexdigest()}\n"
            )
            self.packages.append((component, entry))

    def publish(self) -> AptRepository:
        """Write the lists and sign them."""
        place = self.folder / "dists" / self.suite if self.suite else self.folder
        components = sorted({component for component, _ in self.packages}) or ["main"]
        lists = {}
        for component in components:
            text = "\n".join(entry for name, entry in self.packages if name == component or not self.suite)
            path = f"{component}/binary-{ARCHITECTURE}/Packages" if self.suite else "Packages"
            _put(place / path, text)
            lists[path] = text.encode()
        suite = f"Suite: {self.suite}\nCodename: {self.suite}\n" if self.suite else ""
        release = (
            f"Origin: {self.origin}\nLabel: {self.origin}\n{suite}Architectures: {ARCHITECTURE}\n"
            f"Components: {' '.join(components)}\nDate: {formatdate(usegmt=True)}\nSHA256:\n"
        )
        for path, content in lists.items():
            release += f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}\n"
        _put(place / "Release", release)
        (place / "InRelease").unlink(missing_ok=True)
        try:
            self._gpg(
                "--local-user", self.key.stem, "--clearsign", "--output", str(place / "InRelease"),
                str(place / "Release"),
            )  # fmt: skip
        finally:
            subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "gpg-agent"], check=True)
        return self

    def _gpg(self, *words: str) -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--yes", "--quiet", "--passphrase", ""]
        for _ in range(20):
            ended = subprocess.run(
                [*command, "--pinentry-mode", "loopback", *words],
                capture_output=True,
                env={**os.environ, "LC_ALL": "C"},
            )
            if b"connect to the agent" not in ended.stderr:
                break
            # The agent that was told to end may still be at it; the next call starts another.
            time.sleep(0.1)
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout


def _put(file: Path, text: str, mode: int = 0o644) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
