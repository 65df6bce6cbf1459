"""Who runs when: waiting -> prefill -> decode, in one thread of its own.

Requests wait in a bounded queue that is fair between clients, and join and leave the running set between
decode steps, so that a long answer holds up nobody. The event loop submits and listens; it never waits for
the model.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from sightline_serve import errors, memory
from sightline_serve.engine import Engine, Prompt, sound
from sightline_serve.metrics import Metrics
from sightline_serve.sampling import SamplingParams
from sightline_serve.sequence import Event, Failure, Piece, Sequence

log = logging.getLogger(__name__)


class FairQueue:
    """First come, first served within a client; clients take turns. Not thread-safe: the scheduler locks."""

    def __init__(self) -> None:
        self.lanes: OrderedDict[str, deque[Sequence]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def put(self, sequence: Sequence) -> None:
        self.lanes.setdefault(sequence.client, deque()).append(sequence)

    def next(self) -> Sequence:
        """The one that `take` would take."""
        return next(iter(self.lanes.values()))[0]

    def take(self) -> Sequence:
        client, lane = self.lanes.popitem(last=False)
        sequence = lane.popleft()
        if lane:
            self.lanes[client] = lane  # back of the line
        return sequence

    def remove(self, sequence: Sequence) -> None:
        lane = self.lanes.get(sequence.client)
        if lane and sequence in lane:
            lane.remove(sequence)
            if not lane:
                del self.lanes[sequence.client]


class Generation:
    """An answer as it comes: iterate over it for Piece ... Finish; a Failure is raised as its ApiError."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.sequence: Sequence

    def send(self, event: Event) -> None:
        """From the scheduler's thread into the event loop."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            log.debug("the event loop is closed; an event has no one to go to")

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            event = await self.events.get()
            if isinstance(event, Failure):
                raise event.error
            yield event
            if not isinstance(event, Piece):
                return

    def cancel(self) -> None:
        """Frees the request's place. Harmless after the end."""
        self.scheduler.cancel(self.sequence)


class Scheduler:
    def __init__(self, engine: Engine, metrics: Metrics, *, max_running: int, max_waiting: int) -> None:
        self.engine = engine
        self.metrics = metrics
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.waiting = FairQueue()
        self.running: list[Sequence] = []
        self.changed = threading.Condition()
        self.closing = False
        self.thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self.thread.start()

    def submit(self, prompt: Prompt, params: SamplingParams, client: str) -> Generation:
        """Queues a request. Raises a 503 ApiError if the queue is full. Call from the event loop."""
        generation = Generation(self)
        generation.sequence = sequence = Sequence(
            prompt,
            params,
            client=client,
            eos=self.engine.model.eos,
            text=self.engine.model.text,
            send=generation.send,
        )
        with self.changed:
            if self.closing:
                raise errors.draining()
            if len(self.waiting) >= self.max_waiting:
                raise errors.queue_full(len(self.waiting))
            self.waiting.put(sequence)
            self.changed.notify()
        return generation

    def cancel(self, sequence: Sequence) -> None:
        with self.changed:
            sequence.cancelled = True
            self.waiting.remove(sequence)

    def end(self) -> None:
        """Ends the thread after its current step and returns at once; what runs or waits fails."""
        with self.changed:
            self.closing = True
            self.changed.notify()

    def close(self) -> None:
        """Ends, and waits for the thread."""
        self.end()
        self.thread.join(timeout=5)

    def _run(self) -> None:
        while self._wait_for_work():
            self._admit_one()
            self._dismiss()
            self._decode_step()
            self._dismiss()
            self._gauge()
        for sequence in [*self.running, *(self.waiting.take() for _ in range(len(self.waiting)))]:
            sequence.fail(errors.draining())

    def _wait_for_work(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.running or len(self.waiting) or self.closing)
            return not self.closing

    def _admit_one(self) -> None:
        """One prefill between two decode steps: newcomers start soon, and the running ones hardly notice."""
        with self.changed:
            if len(self.running) >= self.max_running or not len(self.waiting):
                return
            # Who does not fit holds up those behind: else the large would wait for ever.
            if not self.engine.has_room(self.waiting.next().limit):
                return
            sequence = self.waiting.take()
        try:
            sequence.slot, logits = self.engine.prefill(sequence.prompt, sequence.limit)
            sequence.take(sound(logits))
            self.metrics.first_token(sequence)
        except Exception as error:
            self._failed([sequence], error)
        self.running.append(sequence)

    def _dismiss(self) -> None:
        """Frees the memory of who is done, before the others go on."""
        for sequence in self.running:
            sequence.done = sequence.done or sequence.cancelled
            if sequence.done and sequence.slot is not None:
                self.engine.release(sequence.slot)
                sequence.slot = None
        self.running = [sequence for sequence in self.running if not sequence.done]

    def _decode_step(self) -> None:
        batch = self.running
        if not batch:
            return
        slots = [slot for sequence in batch if (slot := sequence.slot) is not None]
        try:
            rows = self.engine.decode(slots, [sequence.last_token for sequence in batch])
        except Exception as error:
            self._failed(batch, error)
            return
        for sequence, logits in zip(batch, rows, strict=True):
            try:
                sequence.take(sound(logits))
            except Exception as error:
                self._failed([sequence], error)

    def _failed(self, sequences: list[Sequence], error: Exception) -> None:
        # The trace says where; the message might hold a piece of somebody's prompt and stays out of the log.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("the model failed on %d request(s): %s\n%s", len(sequences), type(error).__name__, where)
        exhausted = memory.exhausted(error)
        for sequence in sequences:
            if not sequence.done:
                sequence.fail(errors.out_of_memory() if exhausted else errors.engine_failed())
        if exhausted:
            self._dismiss()
            self.engine.empty()

    def _gauge(self) -> None:
        self.metrics.running.set(len(self.running))
        self.metrics.waiting.set(len(self.waiting))
