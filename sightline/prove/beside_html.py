"""The report over several endpoints as one self-contained page, its pictures drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .report_html import page_environment, page_style
from .report_json import Report
from .wording import KIND_TITLES


def as_page(told: dict[str, Any], reports: Sequence[Report]) -> str:
    """The page: `told` is what beside.compare says, `reports` are where the pictures come from."""
    most = max(reports, key=lambda report: len(report.sighting.shots) if report.sighting else 0)
    shots = [shot for shot in most.sighting.shots if not shot.second_look] if most.sighting else []
    questions = [
        {
            **question,
            "title": KIND_TITLES[shot.case.kind],
            "pictures": [
                {"url": picture.data_url, "caption": picture.caption}
                for turn in shot.case.turns
                for picture in turn.pictures
            ],
        }
        for question, shot in zip(told["questions"], shots, strict=True)
    ]
    return (
        page_environment()
        .get_template("beside.html.j2")
        .render(css=page_style(), told=told, endpoints=told["endpoints"], questions=questions)
    )
