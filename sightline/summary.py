"""The last lines that scripts/up prints: endpoint, key, verdict, report, and how long each phase took."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline import deployment
from sightline.endpoint import curl_line
from sightline.layout import CHECKOUT


def host_lines(checkout: Path, host: str, changed: int) -> list[str]:
    """The summary of one host, as lines; says so when nothing is deployed there."""
    try:
        found = deployment.load(checkout / deployment.FOLDER / f"{host}.json")
    except deployment.DeploymentError:
        return [f"{host}: nothing is deployed"]
    verdict, report = _verdict(checkout / ".sightline" / "reports" / host / "latest")
    lines = [
        f"{host}: {verdict}",
        f"  endpoint  {found.base_url}   model {found.model}",
        f"  API key   in {found.api_key_file}",
        f"  try       {curl_line(found.base_url, found.model, found.api_key_file, found.ca_file)}",
    ]
    if found.engine == "sightline-serve":
        page = found.base_url.removesuffix("v1")
        lines.insert(2, f"  page      {page}   (show it a picture in a browser)")
    if report:
        lines.append(f"  report    {report}")
    lines.append(f"  changed   {changed or 'nothing'}{' task(s)' if changed else ''}")
    return lines


def phase_line(phases: Sequence[dict[str, Any]], prepared: float) -> str:
    """Seconds per phase, those of under a tenth of a second left out."""
    shown = [("prepare", prepared)] if prepared >= 1 else []
    shown += [(phase["name"].lower(), phase.get("seconds", 0.0)) for phase in phases]
    total = sum(seconds for _, seconds in shown)
    parts = [f"{name} {seconds:.1f}" for name, seconds in shown if seconds >= 0.1]
    return f"seconds: {', '.join(parts)}; {total:.1f} in all"


def _verdict(folder: Path) -> tuple[str, Path | None]:
    try:
        report = json.loads((folder / "report.json").read_text())
    except (OSError, ValueError):
        return "deployed, not proven yet (scripts/prove)", None
    verdict = report.get("verdict") if isinstance(report, dict) else None
    said = verdict.get("outcome") if isinstance(verdict, dict) else None
    if not isinstance(said, str):
        return f"its last report cannot be read: {folder / 'report.json'}", None
    return said.replace("_", " ").upper(), folder / "report.html"


def main(argv: Sequence[str] | None = None) -> None:
    """Sum up the run whose figures lie in the given file (plugins/callback/phases.py wrote it)."""
    parser = argparse.ArgumentParser(description="Sum up a run of site.yml.")
    parser.add_argument("phases", type=Path)
    parser.add_argument("--prepared", type=float, default=0.0, help="seconds spent before the playbook")
    options = parser.parse_args(argv)
    run = json.loads(options.phases.read_text())
    print()
    for host, figures in sorted(run["hosts"].items()):
        print("\n".join(host_lines(CHECKOUT, host, figures["changed"])))
    print(phase_line(run["phases"], options.prepared))


if __name__ == "__main__":
    main()
