"""Who runs when: waiting -> reading -> answering, in one thread of its own.

Requests wait in a bounded queue that is fair between clients, and join and leave the running set between
steps. A step reads a piece of the prompts, of a bounded number of tokens, and gives every answer a token
more: so that neither a long answer nor a long prompt holds up the others. The event loop submits and listens;
it never waits for the model.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from torch import Tensor

from sightline_serve import errors, memory
from sightline_serve.engine import Engine, Slot, sound
from sightline_serve.metrics import Metrics
from sightline_serve.reading import Prompt
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

    def put_back(self, sequence: Sequence) -> None:
        """To the head of the line: it was taken, and had to go again."""
        self.lanes.setdefault(sequence.client, deque()).appendleft(sequence)
        self.lanes.move_to_end(sequence.client, last=False)

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
    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        *,
        max_running: int,
        max_waiting: int,
        max_prefill_tokens: int = 512,
    ) -> None:
        """`max_prefill_tokens`: of prompts, read between two tokens of those that answer."""
        self.engine = engine
        self.metrics = metrics
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.max_prefill_tokens = max_prefill_tokens
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
            self._admit()
            self._read()
            self._dismiss()
            self._make_room()
            self._decode_step()
            self._dismiss()
            self._gauge()
        for sequence in [*self.running, *(self.waiting.take() for _ in range(len(self.waiting)))]:
            sequence.fail(errors.draining())

    def _wait_for_work(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.running or len(self.waiting) or self.closing)
            return not self.closing

    def _admit(self) -> None:
        """Places for who waits, as far as what they hold soon fits; an answer's length nobody knows."""
        while True:
            with self.changed:
                if len(self.running) >= self.max_running or not len(self.waiting):
                    return
                # Who does not fit holds up those behind: else the large would wait for ever.
                following = self.waiting.next()
                if not self.engine.has_room(following.prompt, len(following.tokens)):
                    return
                sequence = self.waiting.take()
            self.running.append(sequence)
            try:
                sequence.slot = self.engine.admit(sequence.prompt, sequence.tokens, sequence.owner)
                self.metrics.reused.inc(sequence.slot.reused)
                if not sequence.tokens:
                    sequence.cached_tokens = sequence.slot.reused
            except Exception as error:
                self._failed([sequence], error)

    def _read(self) -> None:
        unread = [s for s in self.running if s.slot and s.slot.left and not s.cancelled]
        if not unread:
            return
        of = {s.slot: s for s in unread if s.slot}
        try:
            whole = self._read_some(list(of))
        except Exception as error:
            self._failed(unread[:1], error)
            return
        for slot, logits in whole:
            first = not of[slot].tokens
            self._take(of[slot], logits)
            if first:
                self.metrics.first_token(of[slot])

    def _read_some(self, slots: list[Slot]) -> list[tuple[Slot, Tensor]]:
        try:
            return self.engine.read(slots, self.max_prefill_tokens)
        except Exception:
            if len(slots) == 1:
                raise
        # Whose fault it was shows when the first is read alone; the others have another go in the next step.
        return self.engine.read(slots[:1], self.max_prefill_tokens)

    def _make_room(self) -> None:
        """When answers outgrow the memory the youngest goes back to the queue; the oldest never does."""
        while len(self.running) > 1 and not self.engine.has_room():
            sequence = self.running.pop()
            if sequence.slot:
                self.engine.release(sequence.slot, keep=True)
                sequence.slot = None
            self.metrics.preempted.inc()
            with self.changed:
                self.waiting.put_back(sequence)

    def _dismiss(self) -> None:
        """Frees the memory of who is done, before the others go on."""
        for sequence in self.running:
            sequence.done = sequence.done or sequence.cancelled
            if sequence.done and sequence.slot is not None:
                self.engine.release(sequence.slot, keep=sequence.whole)
                sequence.slot = None
        self.running = [sequence for sequence in self.running if not sequence.done]

    def _decode_step(self) -> None:
        batch = [s for s in self.running if s.slot and not s.slot.left]
        slots = [s.slot for s in batch if s.slot]
        if not batch:
            return
        try:
            rows = self.engine.decode(slots, [s.tokens[-1] for s in batch])
        except Exception as error:
            self._failed(batch, error)
            return
        for sequence, logits in zip(batch, rows, strict=True):
            self._take(sequence, logits)

    def _take(self, sequence: Sequence, logits: Tensor) -> None:
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
