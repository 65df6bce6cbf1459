"""Systems of their own for apt and dpkg, in a folder: real programs, real packages, no chroot and no root.

Maintainer scripts run outside of it, with the folder's path in DPKG_ROOT.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stand_ins.apt_repository import ARCHITECTURE, AptRepository, missing_programs

_FOLDERS = (
    "etc/apt/sources.list.d", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d",
    "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial", "var/log/apt", "usr/bin",
)  # fmt: skip


class AptRoot:
    """An empty system in `path`; while it is `entered`, apt and dpkg work on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in _FOLDERS:
            (path / folder).mkdir(parents=True)
        for file in ("var/lib/dpkg/status", "var/lib/dpkg/available", "var/lib/apt/extended_states"):
            (path / file).touch()
        # dpkg takes folders away that its last package leaves empty.
        (path / "usr/bin/there-before").touch()
        settings = (
            f'Dir "{path}/"; Dir::Bin::methods "/usr/lib/apt/methods"; Dir::Bin::dpkg "/usr/bin/dpkg";\n'
            f'APT::Architecture "{ARCHITECTURE}"; APT::Architectures {{"{ARCHITECTURE}";}}; '
            'APT::Sandbox::User "root"; Dpkg::Use-Pty "0";\n'
            f'Dpkg::Options {{"--root={path}"; "--force-not-root"; "--force-script-chrootless"; '
            f'"--log={path}/var/log/dpkg.log";}};\n'
        )
        (path.parent / f"{path.name}.conf").write_text(settings)

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("APT_CONFIG", str(self.path.parent / f"{self.path.name}.conf"))

    def trust(self, repository: AptRepository, entry: str) -> None:
        """The host's own source: `entry` is what follows the options in a line of sources.list."""
        (self.path / "etc/apt/sources.list").write_text(f"deb [signed-by={repository.key}] {entry}\n")

    @property
    def status(self) -> str:
        return (self.path / "var/lib/dpkg/status").read_text()

    def files(self) -> dict[str, str]:
        """Everything but apt's and dpkg's own records, to compare."""
        found = {}
        for folder, folders, names in os.walk(self.path):
            for name in [*folders, *names]:
                file = Path(folder) / name
                path = file.relative_to(self.path).as_posix()
                if not path.startswith(("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log")):
                    found[path] = file.read_text() if file.is_file() else "folder"
        return found


def make_root(path: Path, monkeypatch: pytest.MonkeyPatch) -> AptRoot:
    """An entered root, or a skip that says what is missing for it."""
    if missing := missing_programs():
        pytest.skip(f"needs {', '.join(missing)}")
    root = AptRoot(path)
    root.enter(monkeypatch)
    return root
