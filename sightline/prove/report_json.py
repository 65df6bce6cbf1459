"""The report as data: what was asked, shown, answered and judged, and the verdict. No key, no picture
bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final

from .draw import Picture
from .gpu_memory import GpuMemory
from .host import HostCheck
from .results import Control, Shot, Sighting, Trial
from .sight import Settings
from .verdict import (
    KIND_FLOOR,
    LATENCY_SHARE,
    OVERALL,
    SMALL_KIND,
    SMALL_KIND_FLOOR,
    Verdict,
    needed,
    needed_of_kind,
)

SCHEMA: Final = 1


@dataclass(frozen=True)
class Report:
    """One run of prove; `sighting` and `settings` are None where the endpoint was never asked,
    and `gpu_memory` on a CPU.
    """

    target: dict[str, Any]
    started_at: str
    seconds: float
    verdict: Verdict
    settings: Settings | None
    sighting: Sighting | None
    host_checks: tuple[HostCheck, ...] = ()
    gpu_memory: GpuMemory | None = None


def as_data(report: Report) -> dict[str, Any]:
    """The report as JSON-ready data (schema 1)."""
    verdict = report.verdict
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "tool": "sightline prove",
        "started_at": report.started_at,
        "seconds": round(report.seconds, 3),
        "target": report.target,
        "verdict": {
            "outcome": verdict.outcome,
            "exit_code": verdict.exit_code,
            "sentence": verdict.sentence,
            "causes": [asdict(cause) for cause in verdict.causes],
        },
        "host_checks": [asdict(check) for check in report.host_checks],
        "gpu_memory": asdict(report.gpu_memory) if report.gpu_memory else None,
        "sight": None,
    }
    if report.sighting is not None and report.settings is not None:
        data["sight"] = _sight(report.sighting, report.settings)
    return data


def _sight(sighting: Sighting, settings: Settings) -> dict[str, Any]:
    asked = len(sighting.shots)
    return {
        "seed": settings.seed,
        "rules": {
            "overall": float(OVERALL),
            "kind_floor": float(KIND_FLOOR),
            "small_kind": SMALL_KIND,
            "small_kind_floor": float(SMALL_KIND_FLOOR),
            "latency_limit_s": settings.latency_limit,
            "latency_share": float(LATENCY_SHARE),
            "guessing_without_picture_allowed": settings.guessing_allowed,
        },
        "score": {"right": sighting.right(), "asked": asked, "needed": needed(asked)},
        "kinds": {
            kind: {"right": right, "asked": number, "needed": needed_of_kind(number)}
            for kind, (right, number) in sighting.scores().items()
        },
        "latency_s": {
            "answers": len(sighting.seconds),
            "median": round(sighting.latency(0.5), 4),
            "p95": round(sighting.latency(float(LATENCY_SHARE)), 4),
            "slowest": round(sighting.latency(1.0), 4),
        },
        "faults": [asdict(fault) for fault in sighting.faults],
        "gave_up": sighting.gave_up or None,
        "questions": [_shot(shot) for shot in sighting.shots],
        "controls": [_control(control) for control in sighting.controls],
    }


def _control(control: Control) -> dict[str, Any]:
    return {
        "name": control.name,
        "title": control.title,
        "explained": control.explained,
        "passed": control.passed,
        "trials": [_trial(trial) for trial in control.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "outcome": trial.outcome,
        "why": trial.why,
        "second_look": trial.second_look,
        "shots": [_shot(shot) for shot in trial.shots],
    }


def _shot(shot: Shot) -> dict[str, Any]:
    first_token = shot.replies[-1].first_token_s if shot.replies else None
    return {
        "kind": shot.case.kind,
        "label": shot.label or None,
        "turns": [
            {"text": turn.text, "pictures": [_picture(picture) for picture in turn.pictures]}
            for turn in shot.case.turns
        ],
        "expected": {"form": shot.case.expected.form, "value": shot.case.expected.value},
        "answers": [reply.text for reply in shot.replies],
        "right": shot.judgement.right,
        "read_as": shot.judgement.read,
        "why": shot.judgement.why or None,
        "fault": asdict(shot.fault) if shot.fault else None,
        "seconds": round(shot.seconds, 4),
        "first_token_s": round(first_token, 4) if first_token is not None else None,
        "second_look": shot.second_look,
    }


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "shows": picture.caption,
        "colour": picture.colour,
        "shape": picture.shape,
        "count": picture.count,
        "text": picture.text,
        "sha256": hashlib.sha256(picture.png).hexdigest(),
    }
