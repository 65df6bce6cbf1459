"""Several endpoints, asked the same questions about the same pictures, and one report over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.plan.render import human_bytes, table

from .beside_html import as_page
from .errors import CouldNotTell
from .host import CHECKOUT
from .process_memory import resident_memory
from .progress import Progress
from .report_json import Report, as_data
from .results import Shot, Sighting
from .run import Limits, Target, examine
from .sight import Settings
from .store import folder_for, write, write_whole

SCHEMA = 1


@dataclass(frozen=True)
class Examined:
    """An endpoint, what came of asking it, and the bytes that its server held then, where that is known."""

    target: Target
    report: Report
    memory: int | None


def beside(
    targets: Sequence[Target],
    settings: Settings,
    limits: Limits,
    as_json: bool,
    quiet: bool,
    out: Path | None,
) -> int:
    """Examine the targets one after the other, with the same seed; write a report of each and one over all.

    Returns the worst exit status: 1 if any was not proven, else 2 if any could not be told, else 0.
    Raises CouldNotTell: the reports cannot be written.
    """
    folder = out or folder_for(CHECKOUT, "beside", datetime.now(UTC))
    examined = []
    for number, target in enumerate(targets, start=1):
        progress = Progress(settings.requests, quiet)
        progress.say(f"asking {target.name} at {target.base_url} (seed {settings.seed})")
        report = examine(target, settings, limits, progress)
        held = report.gpu_memory.used_bytes if report.gpu_memory else resident_memory(target.record)
        examined.append(Examined(target, report, held))
        write(report, folder / str(number), link_latest=False)
    told = compare(examined, settings)
    write_whole(folder / "beside.json", json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    write_whole(folder / "beside.html", as_page(told, [one.report for one in examined]))
    print(json.dumps(told, indent=2) if as_json else _summary(told, folder))
    outcomes = {one.report.verdict.outcome for one in examined}
    return 1 if "not proven" in outcomes else 2 if "could not tell" in outcomes else 0


def compare(examined: Sequence[Examined], settings: Settings) -> dict[str, Any]:
    """The examinations side by side, as JSON-ready data."""
    return {
        "schema": SCHEMA,
        "tool": "sightline prove --beside",
        "seed": settings.seed,
        "endpoints": [_endpoint(number, one) for number, one in enumerate(examined, start=1)],
        "questions": _questions([one.report.sighting for one in examined]),
    }


def _endpoint(number: int, one: Examined) -> dict[str, Any]:
    data = as_data(one.report)
    sight = data["sight"] or {}
    return {
        "name": one.target.name,
        **data["target"],
        "verdict": data["verdict"],
        "right": sight["score"]["right"] if sight else None,
        "asked": sight["score"]["asked"] if sight else None,
        "kinds": sight.get("kinds"),
        "controls": {control["name"]: control["passed"] for control in sight.get("controls", ())},
        "latency_s": sight.get("latency_s"),
        "tokens_per_s": tokens_per_second(one.report.sighting) if one.report.sighting else None,
        "memory_bytes": one.memory,
        "report": f"{number}/report.html",
    }


def tokens_per_second(sighting: Sighting) -> float | None:
    """Generated tokens over the seconds that their answers took; None where the endpoint counts none."""
    replies = [reply for shot in sighting.shots for reply in shot.replies]
    counted = [(reply.tokens, reply.seconds) for reply in replies if reply.tokens]
    seconds = sum(took for _, took in counted)
    return round(sum(tokens for tokens, _ in counted) / seconds, 2) if seconds else None


def _questions(sightings: Sequence[Sighting | None]) -> list[dict[str, Any]]:
    """Each question that all were asked, with every endpoint's answer (None of one that gave up before)."""
    columns = [_first_looks(sighting) for sighting in sightings]
    longest = max(columns, key=len, default=[])
    return [
        {
            "kind": shot.case.kind,
            "text": shot.case.turns[-1].text,
            "expected": {"form": shot.case.expected.form, "value": shot.case.expected.value},
            "answers": [_answer(column[index]) if index < len(column) else None for column in columns],
        }
        for index, shot in enumerate(longest)
    ]


def _first_looks(sighting: Sighting | None) -> list[Shot]:
    """Questions in the order in which they were drawn; a second look is asked only of who was wrong."""
    return [shot for shot in sighting.shots if not shot.second_look] if sighting else []


def _answer(shot: Shot) -> dict[str, Any]:
    return {
        "text": shot.answer,
        "right": shot.judgement.right,
        "fault": shot.fault.text if shot.fault else None,
        "seconds": round(shot.seconds, 4),
    }


def _summary(told: dict[str, Any], folder: Path) -> str:
    rows = [
        ("endpoint", "engine", "verdict", "right", "controls", "median", "95 in 100", "tokens/s", "memory")
    ]
    for one in told["endpoints"]:
        latency, controls = one["latency_s"], one["controls"]
        rows.append(
            (
                str(one["name"]),
                one["engine"] or "",
                one["verdict"]["outcome"],
                f"{one['right']} of {one['asked']}" if latency else "",
                f"{sum(controls.values())} of {len(controls)}",
                f"{latency['median']:.2f} s" if latency else "",
                f"{latency['p95']:.2f} s" if latency else "",
                f"{one['tokens_per_s']:.1f}" if one["tokens_per_s"] else "",
                human_bytes(one["memory_bytes"]) if one["memory_bytes"] else "",
            )
        )
    lines = [f"  {line}" for line in table(rows)]
    return "\n".join([*lines, f"  seed {told['seed']}; side by side in {folder / 'beside.html'}"])


def read_targets(
    words: Sequence[str], named: Callable[[str], Target], ca_file: Path | None = None
) -> list[Target]:
    """The endpoints that --beside names: URL[,MODEL[,KEYFILE]], or a deployed host or record by `named`.

    `ca_file` holds what signed the URLs' certificates, None for the system's authorities.

    Raises CouldNotTell, DeploymentError.
    """
    targets = []
    for word in words:
        if "://" not in word:
            targets.append(named(word))
            continue
        url, model, key, *more = [*word.split(","), "", ""]
        if any(more):
            raise CouldNotTell("arguments", f"{word} has too many commas", "give URL,MODEL,KEYFILE")
        targets.append(Target.at(url, model or None, Path(key) if key else None, ca_file))
    return targets
