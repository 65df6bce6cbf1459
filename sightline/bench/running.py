"""Runs commands, timed, and leaves none of them behind."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sightline.bench.errors import BenchError

_PATIENCE = 5.0
"""Seconds that a stopped command has to end by itself."""
_LOOK = 0.05
"""Seconds between two looks at what a command holds of memory."""


@dataclass(frozen=True)
class Ended:
    """A command that ended. `seconds` is its wall time, `output` what it said on both streams.

    `peak`: the most memory that its first process held, in bytes (VmHWM, as it was shortly before its end).
    """

    code: int
    output: str
    seconds: float
    peak: int = 0


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 1800.0,
) -> Ended:
    """Run a command to its end. Raises BenchError when it cannot be started or takes over `timeout` seconds.

    It has a process group of its own, which is ended too when this is interrupted.
    """
    # A file, not a pipe: a helper that the command leaves running may hold its end of a pipe open for ever.
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            raise BenchError(f"{command[0]} cannot be started: {problem.strerror}") from problem
        try:
            peak = _watch(process.pid, timeout)
            process.wait()
        except TimeoutError:
            _end(process)
            raise BenchError(f"`{' '.join(command[:3])}` did not end within {timeout:g} s") from None
        except BaseException:
            _end(process)
            raise
        seconds = time.monotonic() - started
        said.seek(0)
        return Ended(process.returncode, said.read(), seconds, peak)


def _watch(process: int, timeout: float) -> int:
    """Wait until a child has ended, to the millisecond (Popen.wait with a limit looks twenty times a second).

    Returns its peak of memory in bytes. Raises TimeoutError.
    """
    peak, deadline, descriptor = 0, time.monotonic() + timeout, os.pidfd_open(process)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        while not ended.poll(_LOOK * 1000):
            held = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
            peak = int(held[1]) * 1024 if held else peak
            if time.monotonic() > deadline:
                raise TimeoutError
    finally:
        os.close(descriptor)
    return peak


def no_more_interruptions() -> None:
    """From now on ctrl-C and a plain kill are not heeded: what was made is being taken down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A handler that does nothing, because children would inherit SIG_IGN.
        signal.signal(number, lambda *_: None)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
