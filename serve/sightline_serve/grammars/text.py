"""What llguidance calls a grammar: a text that it compiles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Between the tokens of JSON: enough to be indented, too little for a small model to be stuck in.
WHITESPACE = r"[ \t\n\r]{0,16}"
OPTIONS = {"whitespace_pattern": WHITESPACE, "lenient": False, "coerce_one_of": False}

# It reads numbers as doubles, in which whole numbers beyond this run together.
LARGEST = 2**53


class Refused(Exception):
    """This grammar will not be used; the message says why, as the end of a sentence."""


def written(schema: Any) -> str:
    """The schema as JSON. Raises Refused for a fixed value that llguidance would round."""
    for value in _fixed(schema):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise Refused(f"{value} in enum or const is beyond 2^53 and would be rounded; make it a string")
    return json.dumps(schema)


def _fixed(schema: Any, fixed: bool = False) -> Iterator[Any]:
    """All values in the schema's enum and const."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            yield from _fixed(value, fixed or name in ("enum", "const"))
    elif isinstance(schema, list):
        for value in schema:
            yield from _fixed(value, fixed)
    elif fixed:
        yield schema


def from_schema(schema: Any) -> str:
    """Raises Refused."""
    from llguidance import LLMatcher

    # arg-type: the library's type for options is there for its type checker only, not at run time.
    return str(LLMatcher.grammar_from_json_schema(written(schema), overrides=OPTIONS))  # type: ignore[arg-type]


def any_object() -> str:
    return from_schema({"type": "object"})


def from_lark(grammar: str) -> str:
    from llguidance import LLMatcher

    return str(LLMatcher.grammar_from_lark(grammar))
