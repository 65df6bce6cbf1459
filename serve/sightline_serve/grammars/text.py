"""What llguidance calls a grammar: a text that it compiles."""

from __future__ import annotations

import json
from typing import Any

# Between the tokens of JSON: enough to be indented, too little for a small model to be stuck in.
WHITESPACE = r"[ \t\n\r]{0,16}"
OPTIONS = {"whitespace_pattern": WHITESPACE, "lenient": False, "coerce_one_of": False}


def from_schema(schema: Any) -> str:
    from llguidance import LLMatcher

    return str(LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=OPTIONS))  # type: ignore[arg-type]


def any_object() -> str:
    return from_schema({"type": "object"})


def from_lark(grammar: str) -> str:
    from llguidance import LLMatcher

    return str(LLMatcher.grammar_from_lark(grammar))
