"""A connection that says nothing, or takes nothing, is closed.

uvicorn waits for ever for a request's head, and for a reader of its answers; a client that does either would
hold a socket, and a place in the house, for nothing.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
READER_SECONDS = 60.0


class Connection(H11Protocol):
    """Closes itself HEAD_SECONDS after it began to wait for a request's head, if the head is not whole by
    then, and READER_SECONDS after its client stopped taking what is sent.
    """

    head: asyncio.TimerHandle | None = None
    reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # IDLE: what has come is not yet a whole head.
        if self.conn.their_state is not h11.IDLE:
            self.head = _stop(self.head)
        elif self.head is None:
            self._expect_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.reader = self.reader or self.loop.call_later(READER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.reader = _stop(self.reader)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # A close waits until everything was taken.
        self.reader = self.reader or self.loop.call_later(READER_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.head, self.reader = _stop(self.head), _stop(self.reader)

    def _expect_head(self) -> None:
        self.head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self.head = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
