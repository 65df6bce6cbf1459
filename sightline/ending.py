"""How a command ends whose answer nobody may read: no traceback, and no exit code that means a verdict."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

PIPE_CLOSED = 141
"""What a shell says of a program that a closed pipe ended: 128 + SIGPIPE."""


def end(script: str, main: Callable[[], int], cannot_tell: int) -> NoReturn:
    """Run `main` and exit with its status, once all that it printed is written.

    Whoever reads may have read enough (`| head`): 141. An answer that cannot be written, as to a full disk,
    is told on standard error: `cannot_tell`, since Python's own 1 would mean "no".
    """
    try:
        status = main()
        print(end="", flush=True)
    except BrokenPipeError:
        _write_nowhere()
        status = PIPE_CLOSED
    except OSError as problem:
        print(f"{script}: the answer cannot be written: {problem.strerror}", file=sys.stderr)
        _write_nowhere()
        status = cannot_tell
    sys.exit(status)


def _write_nowhere() -> None:
    """Python flushes standard output once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
