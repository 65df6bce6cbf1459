"""Grammars compiled once, off the event loop, after a trial in a process that can be ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import OrderedDict
from typing import Any

from sightline_serve.grammars import guide, trial
from sightline_serve.grammars.text import Refused
from sightline_serve.vocabulary import Vocabulary

log = logging.getLogger(__name__)

KEPT = 64
SECONDS = 5.0
START_SECONDS = 60.0
# A line of the trial's: the largest grammar (see MAX_BYTES) and its quoting.
LINE = 2**22
MAX_BYTES = 2**16
TOO_LARGE = f"it is larger than {MAX_BYTES // 1024} KiB"
TOO_SLOW = f"it takes more than {SECONDS:g} s or too much memory to compile; make it simpler"


class Grammars:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        # grammar -> what it became, or why it was refused: a hostile one costs its seconds once.
        self.kept: OrderedDict[str, guide.Compiled | str] = OrderedDict()
        self.turn = asyncio.Lock()
        self.process: asyncio.subprocess.Process | None = None

    async def compiled(self, grammar: str) -> guide.Compiled:
        """Raises Refused."""
        if len(grammar) > MAX_BYTES:
            raise Refused(TOO_LARGE)
        async with self.turn:
            if grammar not in self.kept:
                self.kept[grammar] = await self._compile(grammar)
                if len(self.kept) > KEPT:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(grammar)
            found = self.kept[grammar]
        if isinstance(found, str):
            raise Refused(found)
        return found

    async def close(self) -> None:
        process = self._end()
        if process is not None:
            await process.wait()

    def _end(self) -> asyncio.subprocess.Process | None:
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return process

    async def _compile(self, grammar: str) -> guide.Compiled | str:
        table = await asyncio.to_thread(lambda: self.vocabulary.table)
        if table is None:
            return "this model's tokenizer is of a kind that cannot be held to a grammar"
        why = await self._trial(grammar)
        if why is not None:
            return why
        return await asyncio.to_thread(_build, table, grammar)

    async def _trial(self, grammar: str) -> str | None:
        try:
            process = self.process
            if process is None:
                process = await asyncio.wait_for(self._start(), START_SECONDS)
            answer = await asyncio.wait_for(_ask(process, {"grammar": grammar}), SECONDS)
        except asyncio.CancelledError:  # its answer must not be taken for the next one's
            self._end()
            raise
        except (TimeoutError, ValueError, OSError):  # slow, or died, or was killed for memory
            log.warning("a grammar was refused: its trial did not end well")
            await self.close()
            return TOO_SLOW
        error = answer["error"]
        return None if error is None else str(error).strip().rstrip(".")[:300]

    async def _start(self) -> asyncio.subprocess.Process:
        self.process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", trial.__file__, limit=LINE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await _ask(process, {"tokenizer": self.vocabulary.serialised, "eos": self.vocabulary.eos})
        return process


async def _ask(process: asyncio.subprocess.Process, message: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError or OSError if the process ended instead of answering."""
    if process.stdin is None or process.stdout is None:
        raise ValueError
    process.stdin.write(json.dumps(message).encode() + b"\n")
    await process.stdin.drain()
    answer: dict[str, Any] = json.loads(await process.stdout.readline())
    return answer


def _build(table: Any, grammar: str) -> guide.Compiled:
    return guide.Compiled(trial.new_matcher(table, grammar))
