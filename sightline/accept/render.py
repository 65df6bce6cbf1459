"""The verdict as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sightline.accept.findings import Examined, Finding, Word, verdict
from sightline.accept.needs import Needs
from sightline.plan.render import human_bytes, table

_MARKS = {"good": "ok", "note": "note", "unclear": "?", "bad": "NO"}
_WIDEST = 60


def as_text(box: str, examined: Examined, needs: Needs, findings: Sequence[Finding], seconds: float) -> str:
    """The whole report."""
    word = verdict(findings)
    release = (
        f" in release {needs.release}" if needs.release else ", which no release of this kit carries yet"
    )
    rows = [("", "what", "found", "wanted")]
    rows += [
        (_MARKS[finding.outcome], finding.subject, _cut(finding.found), finding.wanted)
        for finding in findings
    ]
    lines = [f"{box}: {word.upper()}", f"  for {needs.model}{release}", ""]
    lines += [f"  {line}" for line in table(rows)]
    for outcome, title in (("bad", "Reasons"), ("unclear", "Not told"), ("note", "Notes")):
        chosen = [finding for finding in findings if finding.outcome == outcome]
        chosen = [finding for finding in chosen if outcome != "note" or finding.why or finding.remedy]
        lines += ["", f"{title}:"] if chosen else []
        for finding in chosen:
            lines.append(f"  {finding.subject}: {finding.found}")
            lines += [f"      why: {finding.why}"] if finding.why else []
            lines += [f"      do:  {finding.remedy}"] if finding.remedy else []
    lines += ["", f"  {seconds:.0f} s; {_moved(examined)}; nothing is left on the box"]
    return "\n".join(map(_plain, lines))


def as_data(
    box: str, examined: Examined, needs: Needs, findings: Sequence[Finding], seconds: float
) -> dict[str, Any]:
    """The whole report as plain JSON values. Sizes are bytes, rates bytes a second, times seconds."""
    word: Word = verdict(findings)
    return {
        "schema": 1,
        "box": box,
        "verdict": word,
        "reasons": [asdict(finding) for finding in findings if finding.outcome == "bad"],
        "findings": [asdict(finding) for finding in findings],
        "needs": asdict(replace(needs, estimate=None))
        | {"estimate": needs.estimate.to_dict() if needs.estimate else None},
        "facts": asdict(examined),
        "rates": {
            "disk_write": _rate(examined.disk_speed.write if examined.disk_speed else None),
            "disk_read": _rate(examined.disk_speed.read if examined.disk_speed else None),
            "line": max((speed.flow.rate for speed in examined.lines if speed.flow), default=None),
        },
        "seconds": round(seconds, 1),
    }


def _rate(flow: Any) -> float | None:
    return flow.rate if flow else None


def _moved(examined: Examined) -> str:
    speed = examined.disk_speed
    flows = [flow for flow in (speed.write, speed.read) if flow] if speed else []
    fetched = sum(line.flow.bytes for line in examined.lines if line.flow)
    return (
        f"{human_bytes(sum(flow.bytes for flow in flows))} through the disk, {human_bytes(fetched)} fetched"
    )


def _plain(line: str) -> str:
    """Without characters that steer a terminal: what the box says is not to be trusted."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
