"""Base trees: made once from a recipe, kept, and trusted only after a host has booted from them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import apt_sources
from tests.lab.commands import run
from tests.lab.kinds import Recipe

_CERTIFICATES = Path("usr/local/share/ca-certificates")
# Counts up when what this file does to a tree changes.
_EDITION = 1


@dataclass(frozen=True)
class Base:
    """A cached tree. `folder` is named by recipe and fingerprint: a changed recipe is another one."""

    recipe: Recipe
    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def trusted(self) -> bool:
        return (self.folder / "booted.json").exists()

    def trust(self) -> None:
        """A host booted from it: keep it, and let go of the trees of older recipes that nobody stands on."""
        (self.folder / "booted.json").write_text(json.dumps(asdict(self.recipe), indent=1))
        for other in self.folder.parent.glob(f"{self.recipe.name}-*"):
            if other != self.folder and not _in_use(other):
                shutil.rmtree(other)

    def distrust(self) -> None:
        """No host came up on it: it is made anew next time."""
        (self.folder / "booted.json").unlink(missing_ok=True)
        if not _in_use(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)


def certificates(root: Path = Path("/")) -> list[Path]:
    """Authorities that this machine trusts beyond its distribution's."""
    return sorted((root / _CERTIFICATES).rglob("*.crt"))


def fingerprint(recipe: Recipe, sources: list[str], options: list[str]) -> str:
    """Of everything that decides what the tree holds, less the packages' versions."""
    authorities = [hashlib.sha256(file.read_bytes()).hexdigest() for file in certificates()]
    told = json.dumps([_EDITION, asdict(recipe), sources, options, authorities])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def ensure(recipe: Recipe, cache: Path) -> Base:
    """The recipe's tree, built now if it is not there yet (a minute, 300 MB). Raises LabError."""
    sources, options = apt_sources.for_suite(recipe.suite), apt_sources.proxy_options()
    base = Base(recipe, cache / f"{recipe.name}-{fingerprint(recipe, sources, options)}")
    with _lock(cache):
        if not base.tree.exists():
            _build(base, sources, options)
    return base


def _build(base: Base, sources: list[str], options: list[str]) -> None:
    recipe, partial = base.recipe, base.folder.with_suffix(".partial")
    print(
        f"lab: building the base tree {recipe.name} ({recipe.suite}), once; a minute or two", file=sys.stderr
    )
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tree = partial / "tree"
    # In a mount namespace of its own, what mmdebstrap mounts goes with it even when it is killed.
    apart = ["unshare", "--mount", "--propagation", "slave"]
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
    ]
    command += [f"--aptopt={option}" for option in options]
    try:
        if sources:
            run(*apart, *command, recipe.suite, str(tree), "-", feed="\n".join(sources) + "\n", timeout=1800)
        else:
            run(*apart, *command, recipe.suite, str(tree), timeout=1800)
        _finish(tree)
        partial.rename(base.folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _finish(tree: Path) -> None:
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each host is given keys of its own
    authorities = certificates()
    for file in authorities:
        shutil.copy(file, tree / _CERTIFICATES / file.name)
    if authorities:
        run("chroot", str(tree), "update-ca-certificates")


def _in_use(folder: Path) -> bool:
    """Whether an overlay stands on it. Those of hosts lie in namespaces of their own, so all are asked."""
    for mounts in Path("/proc").glob("[0-9]*/mounts"):
        try:
            if f"lowerdir={folder}/" in mounts.read_text(errors="replace"):
                return True
        except OSError:
            continue
    return False


@contextmanager
def _lock(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
