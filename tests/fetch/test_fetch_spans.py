"""How a file's bytes are shared out: at no moment is a piece anybody's twice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from sightline_fetch.part import PIECE, Part
from sightline_fetch.spans import SHORTEST, Job, Span
from sightline_fetch.wanted import WantedFile

SIZE = 4 * SHORTEST


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(WantedFile("model.bin", SIZE, "0" * 64))
    made.part = Part(made.file, tmp_path / "model.bin.part")
    return made


def overlaps(spans: list[Span]) -> bool:
    taken = sorted((span.next, span.end) for span in spans)
    return any(end > first for (_, end), (first, _) in pairwise(taken))


def test_spans_cover_the_file_once(job: Job) -> None:
    spans = [span for _ in range(4) if (span := job.claim(4))]
    assert sorted((span.next, span.end) for span in spans) == [
        (first, first + SHORTEST) for first in range(0, SIZE, SHORTEST)
    ]
    assert job.claim(8) is None


def test_a_piece_that_has_just_come_is_given_to_nobody_else(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection asks for work at the moment in which a piece is noted as there."""
    span = job.claim(4)
    assert span is not None
    given = []
    honest = Part.piece_is_there

    def noted(self: Part, piece: int, crc: int, source: str) -> None:
        given.append(job.claim(64))
        honest(self, piece, crc, source)
        given.append(job.claim(64))

    monkeypatch.setattr(Part, "piece_is_there", noted)
    assert job.part is not None
    span.feed(job.part, bytes(PIECE), "hub")
    mine = Span(0, SHORTEST)
    for other in given:
        assert other is None or not overlaps([mine, other]), (other.next, other.end)
