"""The report as one self-contained page: pictures inside, nothing fetched, everything a model said
escaped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sightline.plan.render import human_bytes

from .cases import Case, Turn
from .report_json import Report
from .results import Shot
from .verdict import needed, needed_of_kind
from .wording import HEADLINE, KIND_TITLES, MEANING

LONGEST_SHOWN: Final = 600
"""Characters of an answer that the page shows; the JSON report has all of it."""

_TEMPLATES: Final = Path(__file__).parent / "templates"
_CLASSES: Final = {"proven": "good", "not proven": "bad", "could not tell": "unsure"}
_FORMS: Final = {
    "nothing": "that it shows nothing",
    "no-picture": "that no picture came",
}


def as_page(report: Report) -> str:
    """The report as an HTML document."""
    return page_environment().get_template("report.html.j2").render(_view(report))


def page_environment() -> Environment:
    """The templates, with everything in them escaped that is not said to be safe."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = _seconds
    environment.filters["bytes"] = human_bytes
    environment.filters["cut"] = _cut
    return environment


def page_style() -> str:
    """The style sheet that a page has inside."""
    return (_TEMPLATES / "report.css").read_text(encoding="utf-8")


def _view(report: Report) -> dict[str, Any]:
    outcome = report.verdict.outcome
    sighting = report.sighting
    asked = len(sighting.shots) if sighting else 0
    return {
        "css": page_style(),
        "tone": _CLASSES[outcome],
        "headline": HEADLINE[outcome],
        "meaning": MEANING[outcome],
        "report": report,
        "verdict": report.verdict,
        "sighting": sighting,
        "settings": report.settings,
        "asked": asked,
        "needed": needed(asked),
        "kinds": _kinds(report),
        "controls": _controls(report),
        "questions": [
            _shot(shot, number) for number, shot in enumerate(sighting.shots if sighting else [], start=1)
        ],
        "host_failed": sum(check.outcome != "passed" for check in report.host_checks),
    }


def _kinds(report: Report) -> list[dict[str, Any]]:
    scores = report.sighting.scores() if report.sighting else {}
    return [
        {
            "title": KIND_TITLES[kind],
            "right": right,
            "asked": asked,
            "percent": round(100 * right / asked),
            "good": right >= needed_of_kind(asked),
        }
        for kind, title in KIND_TITLES.items()
        if kind in scores
        for right, asked in [scores[kind]]
    ]


def _controls(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "control": control,
            "trials": [
                {
                    "outcome": trial.outcome,
                    "why": trial.why,
                    "second_look": trial.second_look,
                    "shots": [_shot(shot) for shot in trial.shots],
                }
                for trial in control.trials
            ],
        }
        for control in (report.sighting.controls if report.sighting else [])
    ]


def _shot(shot: Shot, number: int = 0) -> dict[str, Any]:
    return {
        "number": number,
        "kind": KIND_TITLES[shot.case.kind],
        "label": shot.label,
        "turns": [_turn(shot, index, turn) for index, turn in enumerate(shot.case.turns)],
        "expected": _expected(shot.case),
        "right": shot.judgement.right,
        "why": shot.judgement.why,
        "fault": shot.fault.text if shot.fault else "",
        "seconds": shot.seconds,
        "second_look": shot.second_look,
    }


def _turn(shot: Shot, index: int, turn: Turn) -> dict[str, Any]:
    reply = shot.replies[index] if index < len(shot.replies) else None
    return {
        "text": turn.text,
        "pictures": [{"url": picture.data_url, "caption": picture.caption} for picture in turn.pictures],
        "answer": reply.text if reply and not reply.fault else None,
    }


def _expected(case: Case) -> str:
    return _FORMS.get(case.expected.form, case.expected.value)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 0.995 else f"{value:.1f} s"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} … ({len(text)} characters)"
