"""How a file's bytes are shared out: at no moment is a piece anybody's twice."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from fetching import MIB
from sightline_fetch.part import PIECE, Part
from sightline_fetch.spans import LONGEST, SHORTEST, USUAL, Job, Span, Tempo
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


@pytest.fixture
def large(tmp_path: Path) -> Job:
    made = Job(WantedFile("model.bin", 256 * MIB, "0" * 64))
    made.part = Part(made.file, tmp_path / "model.bin.part")
    return made


def test_first_spans_differ_so_that_they_do_not_end_together(large: Job) -> None:
    spans = [span for _ in range(4) if (span := large.claim(4))]
    assert [(span.end - span.next) // MIB for span in spans] == [4, 8, 12, 16]


def test_spans_become_shorter_towards_the_end(large: Job) -> None:
    """An eighth of what nobody has yet (256, 224, 196, 171.5 MiB ...); then a fifth of the wish."""
    part, lengths = large.part, []
    assert part is not None
    while span := large.claim(4, 64 * MIB):
        lengths.append((span.end - span.next) / MIB)
        for piece in range(span.next // PIECE, span.end // PIECE):
            part.piece_is_there(piece, 0, "hub")
        large.give_back(span)
    assert lengths == [32, 28, 24.5, 21, 18.5, 16.5, 14, *[12.5] * 8, 1.5]


@pytest.mark.parametrize(
    ("waited", "came", "seconds", "length"),
    [
        (0.1, 31_250_000, 1.0, 119 * PIECE),  # a quarter of 1 Gbit/s, 100 ms: 62.5 MB
        (0.001, 100_000_000, 1.0, USUAL),  # 2 MB: this machine, or the same rack
        (0.5, 300_000_000, 1.0, LONGEST),  # 3 GB
        (0.1, 1000, 1.0, 0),  # too little to know anything
    ],
)
def test_a_span_takes_twenty_times_as_long_as_its_answer_was_waited_for(
    waited: float, came: int, seconds: float, length: int
) -> None:
    tempo = Tempo()
    tempo.seen(waited, came, seconds)
    assert tempo.length == length


@pytest.mark.parametrize("seed", range(20))
def test_what_nobody_brings_is_all_that_is_missing_and_in_no_span(job: Job, seed: int) -> None:
    chance, part = random.Random(seed), job.part
    assert part is not None
    there = {piece for piece in range(SIZE // PIECE) if chance.random() < 0.4}
    for piece in there:
        part.piece_is_there(piece, 0, "hub")
    cuts = sorted(chance.sample(range(SIZE // PIECE), 6))
    job.active = [Span(first * PIECE, end * PIECE) for first, end in zip(cuts[::2], cuts[1::2], strict=True)]
    taken = {piece for first, end in zip(cuts[::2], cuts[1::2], strict=True) for piece in range(first, end)}
    left = set(range(SIZE // PIECE)) - there - taken
    given = []
    while span := job.claim(64, SHORTEST):
        given += range(span.next // PIECE, span.end // PIECE)
    assert sorted(given) == sorted(left)
