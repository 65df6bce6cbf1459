"""The report in a terminal."""

from __future__ import annotations

from pathlib import Path

from .report_json import Report
from .wording import KIND_TITLES, MEANING, printable


def summary(report: Report, page: Path) -> str:
    """A screenful: the verdict, the causes, the scores and where the report lies."""
    lines = [printable(report.verdict.sentence, 400), ""]
    lines += [f"  - {printable(cause.text, 400)}" for cause in report.verdict.causes]
    if report.verdict.causes:
        lines += ["", MEANING[report.verdict.outcome], ""]
    if report.host_checks:
        passed = sum(check.outcome == "passed" for check in report.host_checks)
        lines.append(f"  {'host':<20} {passed} of {len(report.host_checks)} checks passed")
    sighting = report.sighting
    if sighting and report.settings:
        for kind, (right, asked) in sighting.scores().items():
            lines.append(f"  {KIND_TITLES[kind]:<20} {right} of {asked}")
        for control in sighting.controls:
            lines.append(f"  {'control':<20} {'passed' if control.passed else 'FAILED'}: {control.title}")
        lines.append(
            f"  {'latency':<20} median {sighting.latency(0.5):.2f} s, "
            f"95 in 100 within {sighting.latency(0.95):.2f} s, "
            f"slowest {sighting.latency(1):.2f} s"
        )
        lines.append(f"  {'seed':<20} {report.settings.seed}")
    lines.append(f"  {'report':<20} {page}")
    return "\n".join(lines)
