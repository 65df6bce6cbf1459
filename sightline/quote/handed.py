"""What the plan phase hands over to scripts/plan: one JSON file a host, in the folder that it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote as escaped
from urllib.parse import unquote

from sightline.quote.host_quote import HostQuote

VARIABLE = "SIGHTLINE_PLAN_FOLDER"
"""The environment variable that names the folder; without it nothing is written."""
REPORTS = Path(".sightline/reports")
LATEST = "latest/report.json"


def hand_over(found: HostQuote) -> None:
    """Write the quote of one host, if scripts/plan asked for it."""
    folder = os.environ.get(VARIABLE)
    if folder:
        text = json.dumps(found.to_dict(), indent=1)
        (Path(folder) / f"{escaped(found.host, safe='')}.json").write_text(text, encoding="utf-8")


def read_handed(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what was handed over, by host, sorted by name."""
    return {
        unquote(path.stem): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }
