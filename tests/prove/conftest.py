"""Endpoints to examine: a stand-in that recognises what this process drew, and the real canary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stand_ins.endpoint import KEY, EndpointStandIn
from tests.stand_ins.liars import Liar
from tests.stand_ins.seeing_oracle import Gallery, SeeingOracle

Serve = Callable[..., EndpointStandIn]


@pytest.fixture
def gallery() -> Iterator[Gallery]:
    """Every picture that is sent during the test."""
    with Gallery().open() as opened:
        yield opened


@pytest.fixture
def serve(gallery: Gallery) -> Iterator[Serve]:
    """serve(liar=Liar(), **settings): an HTTP endpoint that sees, with a liar in front of it, until the
    test ends.
    """
    with ExitStack() as stack:

        def start(liar: Liar | None = None, **settings: object) -> EndpointStandIn:
            oracle = SeeingOracle(gallery)
            stand_in = EndpointStandIn(oracle.answer, liar or Liar(), **settings)  # type: ignore[arg-type]
            return stack.enter_context(stand_in.serve())

        yield start


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The stand-in's key in a file."""
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path
