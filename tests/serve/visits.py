"""Any requests, for hypothesis: when they come, how long they stay, what they show."""

from __future__ import annotations

from hypothesis import strategies as st
from sightline_serve.engine import Engine

from tests.serve.crowd import Visit, prompt
from tests.serve.drawing import disc

COLOURS = ("red", "green", "blue", "black", "orange")
TOKENS = 12

VISIT = st.tuples(
    st.integers(0, 8),  # the step at which it comes
    st.integers(1, TOKENS),  # how many tokens it stays for
    st.integers(0, TOKENS),  # after how many it gives way
    st.text("abcdefgh ", min_size=1, max_size=60),
    st.lists(st.sampled_from(COLOURS), max_size=3),
)


def visits(engine: Engine, drawn: list[tuple[int, int, int, str, list[str]]]) -> list[Visit]:
    return [
        Visit(at, tokens, prompt(engine, text, [disc(colour) for colour in colours]), gives_way)
        for at, tokens, gives_way, text, colours in drawn
    ]
