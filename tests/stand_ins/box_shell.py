"""Stands for an ssh connection to a box: what is run "there" runs in a shell of this machine.

It has of `fabric.Connection` what accept uses: `transport.open_session()` gives a channel with paramiko's
methods, over pipes. Any command but the one that accept sends is refused.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any


class BoxShell:
    """The connection. `shell` reads its script from stdin; `environment` replaces this process's own."""

    def __init__(self, shell: Sequence[str] = ("sh",), environment: Mapping[str, str] | None = None) -> None:
        self.shell = tuple(shell)
        self.environment = dict(os.environ if environment is None else environment)
        self.channels: list[Channel] = []
        self.closed = False

    @property
    def transport(self) -> BoxShell:
        return self

    def open_session(self, timeout: float) -> Channel:
        assert timeout > 0
        self.channels.append(Channel(self))
        return self.channels[-1]

    def close(self) -> None:
        self.closed = True


class Channel:
    def __init__(self, connection: BoxShell) -> None:
        self.connection = connection
        self.process: subprocess.Popen[bytes] | None = None
        self.sent = ""
        self.timeout = 1.0

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def exec_command(self, command: str) -> None:
        assert command == "exec sh -s", command
        self.process = subprocess.Popen(
            [*self.connection.shell, "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.connection.environment,
            start_new_session=True,
        )

    def sendall(self, data: bytes) -> None:
        self.sent += data.decode()
        stdin = self._pipe("stdin")
        stdin.write(data)
        stdin.flush()

    def recv(self, size: int) -> bytes:
        out = self._pipe("stdout")
        if not select.select([out], [], [], self.timeout)[0]:
            raise TimeoutError
        return os.read(out.fileno(), size)

    def recv_stderr_ready(self) -> bool:
        error = self._pipe("stderr")
        return bool(select.select([error], [], [], 0)[0]) and self._more(error)

    def recv_stderr(self, size: int) -> bytes:
        return self._held

    def _more(self, error: Any) -> bool:
        self._held = os.read(error.fileno(), 65536)
        return bool(self._held)

    def close(self) -> None:
        """The other side is gone: stdin ends, and nobody reads any more."""
        if self.process is None:
            return
        for name in ("stdin", "stdout", "stderr"):
            self._pipe(name).close()
        self.process.wait(20)

    def _pipe(self, name: str) -> Any:
        assert self.process is not None, "nothing was run"
        return getattr(self.process, name)
