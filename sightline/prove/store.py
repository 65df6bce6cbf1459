"""Writing reports so that none is ever half there."""

from __future__ import annotations

import json
import os
import re
import tempfile
from datetime import datetime
from pathlib import Path

from .errors import CouldNotTell
from .report_html import as_page
from .report_json import Report, as_data

REPORTS = Path(".sightline/reports")
"""Where reports lie, below the checkout: `<target>/<UTC time>/report.{json,html}` and a link `latest`."""


def folder_for(checkout: Path, name: str, started: datetime) -> Path:
    """A folder for one run; `name` is the host's name or the endpoint's address. A second run in a
    second gets its own.
    """
    parent = checkout / REPORTS / (re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.") or "endpoint")
    stamp = started.strftime("%Y%m%dT%H%M%SZ")
    folder, number = parent / stamp, 1
    while folder.exists():
        number += 1
        folder = parent / f"{stamp}-{number}"
    return folder


def write(report: Report, folder: Path, link_latest: bool) -> Path:
    """Write both files, then move the `latest` link beside the folder. Returns the page's path. Raises
    CouldNotTell.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "report.json", json.dumps(as_data(report), indent=2, ensure_ascii=False) + "\n")
        write_whole(folder / "report.html", as_page(report))
        if link_latest:
            _relink(folder.parent / "latest", folder.name)
    except OSError as problem:
        raise _unwritable(folder, problem) from None
    return folder / "report.html"


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises CouldNotTell."""
    try:
        _whole(path, text)
    except OSError as problem:
        raise _unwritable(path.parent, problem) from None


def _unwritable(folder: Path, problem: OSError) -> CouldNotTell:
    return CouldNotTell(
        "report",
        f"the report can't be written to {folder}: {problem.strerror}",
        "choose a folder with --out DIR",
    )


def _whole(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _relink(link: Path, target: str) -> None:
    fresh = link.with_name(f".latest.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, link)
