"""A broken sightline-serve, for the soak to find out: python -m tests.serve.mixing_server rows|pictures ...

rows: when two requests share a step, the first two get each other's logits, now and then.
pictures: a request is prepared with the picture of the one before it, now and then.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

from sightline_serve import cli, engine

EVERY = 5


def mix_rows() -> None:
    counted, decode = itertools.count(1), engine.Engine.decode

    def mixed(self: engine.Engine, slots: Sequence[Any], tokens: Sequence[int]) -> list[Any]:
        rows = decode(self, slots, tokens)
        if len(rows) > 1 and next(counted) % EVERY == 0:
            rows[0], rows[1] = rows[1], rows[0]
        return rows

    engine.Engine.decode = mixed  # type: ignore[method-assign]


def mix_pictures() -> None:
    counted, prepare = itertools.count(1), engine.Engine.prepare
    last: list[Any] = []

    def mixed(self: engine.Engine, conversation: Any, pictures: list[Any]) -> Any:
        given = list(pictures)
        if next(counted) % EVERY == 0 and len(given) == len(last):
            given = list(last)
        last[:] = pictures
        return prepare(self, conversation, given)

    engine.Engine.prepare = mixed  # type: ignore[method-assign]


if __name__ == "__main__":
    {"rows": mix_rows, "pictures": mix_pictures}[sys.argv[1]]()
    sys.exit(cli.main(sys.argv[2:]))
