"""Tool calls: how a model's chat template writes them, and how they are read out of an answer again.

Nothing but its template says which form a model was trained on: it is shown a call, and what it makes of it
is the form. Two are known: a JSON object between tags (<tool_call>, as Hermes and Qwen), and a bare one
instead of an answer (Llama 3).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightline_serve import grammars
from sightline_serve.detokenize import StopStrings

NAME = "sightlineprobe"
EXAMPLE = {"name": NAME, "arguments": {"depth": 7}}
_CALL = re.compile(
    r"(?:<(?P<tag>\w+)>(?P<gap>\s*))?"
    rf'\{{"name": "{NAME}", "(?P<key>arguments|parameters)": \{{"depth": 7\}}\}}'
    r"(?:(?P<end>\s*)</(?P=tag)>)?"
)


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str  # JSON

    def said(self) -> dict[str, Any]:
        return {
            "id": f"call_{secrets.token_hex(12)}", "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a call is written: between `start` and `end`, if any; `key` is what arguments are called."""

    start: str
    end: str
    key: str


def style_of(rendered: str) -> Style | None:
    """The form in which a template wrote EXAMPLE; None if it is none that is known."""
    found = _CALL.search(rendered)
    if found is None:
        return None
    tag = found["tag"]
    if tag is None or found["end"] is None:
        return Style("", "", found["key"])
    return Style(f"<{tag}>{found['gap']}", f"{found['end']}</{tag}>", found["key"])


def grammar(style: Style, tools: Sequence[tuple[str, dict[str, Any]]], *, must: bool, several: bool) -> str:
    """Answers that call these tools (name, schema of the arguments) or, unless they `must`, say something.

    Raises grammars.Refused.
    """
    rules = [f"call: {' | '.join(f'call_{number}' for number in range(len(tools)))}"]
    for number, (name, schema) in enumerate(tools):
        head = json.dumps(f'{{"name": {json.dumps(name)}, "{style.key}": ')
        body = grammars.written({**schema, "x-guidance": grammars.OPTIONS})
        rules.append(f'call_{number}: {head} %json {body} "}}"')
    if not style.start:
        start = "start: call" if must else "start: call | FREE\nFREE: /([^{](.|\\n)*)?/"
        return grammars.from_lark("\n".join([start, *rules]))
    tag = style.start.rstrip()
    gap = style.start[len(tag) :]
    inside = f"{json.dumps(gap)} call" if gap else "call"
    rules.append(f"inside: {inside} {json.dumps(style.end)}")
    if must:
        more = f'("\\n" {json.dumps(tag)} inside)*' if several else ""
        return grammars.from_lark("\n".join([f"start: {json.dumps(tag)} inside {more}", *rules]))
    rules += [f"head[lazy]: TEXT {json.dumps(tag)}", "called: head inside", "tail: TEXT", "TEXT: /(.|\\n)*/"]
    start = "start: called* tail" if several else "start: called | tail"
    return grammars.from_lark("\n".join(["%llguidance {}", start, *rules]))


class Reader:
    """Text in, text and calls out, as they come: a call is told when it is whole."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.marks = StopStrings([style.start.rstrip()] if style.start else [])
        self.inside = False
        self.held = ""  # of a call that is not whole yet, or the start of an answer that may be one
        self.calls = 0

    def push(self, text: str) -> list[str | Call]:
        if not self.style.start:
            return self._bare(text)
        told: list[str | Call] = []
        while True:
            if not self.inside:
                free = self.marks.push(text)
                if free and not (self.calls and not free.strip()):  # line breaks between calls are nobody's
                    told.append(free)
                if not self.marks.hit:
                    return told
                text = self.marks.after
                self.inside, self.held = True, ""
            self.held += text
            raw, end, rest = self.held.partition(self.style.end.lstrip())
            if not end:
                return told
            told.append(self._call(raw) or self.style.start.rstrip() + raw + end)
            self.inside, text = False, rest
            self.marks = StopStrings([self.style.start.rstrip()])

    def flush(self) -> list[str | Call]:
        """What is left at the end: a call that was cut is told as text."""
        if not self.style.start:
            call = self._call(self.held) if self.held.strip() else None
            return [call or self.held] if self.held else []
        left = self.style.start.rstrip() + self.held if self.inside else self.marks.flush()
        return [left] if left.strip() else []

    def _bare(self, text: str) -> list[str | Call]:
        """An answer that begins with a brace may be a call to its end."""
        self.held += text
        if self.held.lstrip()[:1] in ("", "{"):
            return []
        free, self.held = self.held, ""
        return [free]

    def _call(self, raw: str) -> Call | None:
        try:
            said = json.loads(raw)
            name, arguments = said["name"], said[self.style.key]
        except (ValueError, KeyError, TypeError):
            return None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        self.calls += 1
        return Call(name, json.dumps(arguments, ensure_ascii=False))
