"""Answers held to a form: JSON, a JSON schema, a tool call. By llguidance, a mask over the tokens a step."""

from __future__ import annotations

from sightline_serve.grammars.compiling import Grammars
from sightline_serve.grammars.guide import Compiled, GrammarError
from sightline_serve.grammars.text import OPTIONS, Refused, any_object, from_lark, from_schema, written

__all__ = [
    "OPTIONS",
    "Compiled",
    "GrammarError",
    "Grammars",
    "Refused",
    "any_object",
    "from_lark",
    "from_schema",
    "written",
]
