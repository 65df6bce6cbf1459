"""Packages of this machine's own distribution, for hosts of the same one that cannot reach its mirrors."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sightline.bundle.manifest import BundleProblem
from sightline.hostside import read_distribution
from sightline.plan.python_source import DISTRIBUTIONS

LIST = "Packages"


def distribution_here() -> tuple[str, str] | tuple[()]:
    """This machine's distribution, where it is one whose Python hosts are given; else ()."""
    told = read_distribution(Path("/"))
    here = (str(told.get("id") or ""), str(told.get("version") or ""))
    return here if here in DISTRIBUTIONS and Path("/usr/bin/apt-get").exists() else ()


def pythons_of(distribution: tuple[str, str], minors: Sequence[str]) -> list[str]:
    """The packages that a bare host needs to make environments with one of `minors`."""
    offered = [minor for minor in DISTRIBUTIONS[distribution] if minor in minors]
    return [name for minor in offered for name in (f"python{minor}", f"python{minor}-venv")]


def download(packages: Sequence[str], folder: Path) -> None:
    """Bring `packages` with everything that they need into `folder`, and write their list there.

    They are worked out for a system on which nothing is installed, so no host lacks any. Needs no root.
    Raises BundleProblem.
    """
    with TemporaryDirectory(prefix="sightline-bundle-") as scratch:
        nothing = Path(scratch) / "status"
        nothing.touch()
        (folder / "partial").mkdir(parents=True, exist_ok=True)
        options = {
            "Dir::State::status": nothing,
            "Dir::Cache::archives": folder,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Debug::NoLocking": "true",
            "APT::Sandbox::User": "",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command = ["apt-get", "-y", "-q", "install", "--download-only", "--no-install-recommends", *words]
        ended = subprocess.run(
            [*command, *packages], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    if ended.returncode != 0:
        said = [line for line in (ended.stderr + ended.stdout).splitlines() if line.startswith("E:")]
        raise BundleProblem(
            f"apt-get cannot fetch {', '.join(packages)}: {(said or ['it said nothing'])[0]}. "
            "Run apt-get update, or leave the packages out (--no-packages)"
        )
    (folder / "partial").rmdir()
    (folder / "lock").unlink(missing_ok=True)
    for archive in folder.glob("*%3a*.deb"):
        # An epoch's colon, written so by apt, which would write the per cent sign so in turn.
        archive.rename(archive.with_name(archive.name.replace("%3a", ".")))
    stanzas = [_stanza(archive) for archive in sorted(folder.glob("*.deb"))]
    (folder / LIST).write_text("\n".join(stanzas))


def _stanza(archive: Path) -> str:
    """A package's entry in the list: its own fields, and where its file lies (see deb822 and Packages)."""
    told = subprocess.run(["dpkg-deb", "--field", str(archive)], capture_output=True, text=True, check=True)
    content = archive.read_bytes()
    fields = re.sub(r"\n+$", "", told.stdout)
    digest = hashlib.sha256(content).hexdigest()
    return f"{fields}\nFilename: ./{archive.name}\nSize: {len(content)}\nSHA256: {digest}\n"
