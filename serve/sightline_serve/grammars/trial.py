"""A process that tries grammars out, because some cannot be tried safely where the server lives.

llguidance bounds most of what a schema may cost, but not all: four patterns that must hold together keep it
busy for minutes (seen with 1.9.1). So each grammar is compiled here first, and walked a little. The server
gives this process seconds, and the limits below give it memory; then it is ended, and the grammar refused.

Speaks lines of JSON: {"tokenizer", "eos"} once, then {"grammar"} again and again; each is answered by
{"error": null | why}.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

STEPS = 64
CPU_SECONDS = 20  # should the server have gone meanwhile
MEMORY = 2 * 2**30


def new_matcher(table: Any, grammar: str) -> Any:
    """Limits far above what schemas written by people take, far below what hurts."""
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(
        max_lexer_states=20_000, max_grammar_size=100_000, step_max_items=20_000, verbose_errors=False
    )
    return LLMatcher(table, grammar, log_level=0, limits=limits)


def tried(table: Any, grammar: str) -> str | None:
    """Why this grammar is none, or None. Walks it with the token in the middle of those allowed."""
    matcher = new_matcher(table, grammar)
    for _ in range(STEPS):
        if matcher.is_error() or matcher.is_stopped():
            break
        bits = matcher.compute_bitmask()
        allowed = [
            8 * at + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1
        ]
        if matcher.is_error() or not allowed or not matcher.consume_token(allowed[len(allowed) // 2]):
            break
    return matcher.get_error() or None


def main() -> None:
    from llguidance import LLTokenizer

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    model = json.loads(sys.stdin.readline())
    table = LLTokenizer(model["tokenizer"], eos_token=model["eos"] or None)
    print(json.dumps({"error": None}), flush=True)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_SECONDS, resource.RLIM_INFINITY))
        print(json.dumps({"error": tried(table, json.loads(line)["grammar"])}), flush=True)


if __name__ == "__main__":
    main()
