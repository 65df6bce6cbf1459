"""A folder of packages with their list, asked in place of all sources that the host has."""

from __future__ import annotations

from pathlib import Path

from .host_sets import FOLDER

LISTED = FOLDER / "folder.list"
LISTS = FOLDER / "folder-lists"


def settings_for(folder: str, root: Path) -> dict[str, str]:
    """Make what apt needs to take packages from `folder` alone, and return its settings for that.

    The host's own sources and lists stay as they are. The folder has to be one whose files were held
    against their hashes: it is trusted, for it has no signature.
    """
    (root / LISTS / "partial").mkdir(parents=True, exist_ok=True)
    (root / LISTED).write_text(f"deb [trusted=yes allow-insecure=yes] file:{folder} ./\n")
    return {
        "Dir::Etc::sourcelist": str(root / LISTED),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": str(root / LISTS),
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        # apt's own user may not read where the folder lies.
        "APT::Sandbox::User": "",
    }
