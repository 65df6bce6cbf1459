"""The scheduler over a model that needs no weights: it counts, so that every answer shows whose it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from sightline_serve import memory
from sightline_serve.engine import Engine
from sightline_serve.errors import ApiError
from sightline_serve.memory import KVBudget
from sightline_serve.metrics import Metrics
from sightline_serve.reading import Prompt
from sightline_serve.sampling import SamplingParams
from sightline_serve.scheduler import FairQueue, Generation, Scheduler
from sightline_serve.sequence import Finish, Piece

EOS = 0
CPU_ALLOCATOR = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: ..."
)


@dataclass
class Counting:
    """A model whose n-th token is letter n of its prompt's; `gate` holds each forward until it is opened."""

    eos: frozenset[int] = frozenset({EOS})
    gate: threading.Event = field(default_factory=threading.Event)
    steps: list[str] = field(default_factory=list)
    broken: str = ""
    prompt: str = "my diary"
    context: int = 1000
    joinable: bool = False

    def _logits(self, letter: str) -> torch.Tensor:
        self.gate.wait(10)
        self.steps.append(letter)
        if letter == self.broken:
            raise RuntimeError(f"no room for {self.prompt}")
        row = torch.zeros(128)
        row[ord(letter)] = 1
        return row

    def layers(self) -> None:
        return None

    def beside(self) -> None:
        return None

    def forget(self) -> None:
        self.steps.append("forget")

    def start(self, prompt: Prompt) -> tuple[Any, torch.Tensor]:
        letter: Any = prompt.inputs["letter"]
        return letter, self._logits(letter)

    def step(self, cache: Any, token: int, position: int) -> tuple[Any, torch.Tensor]:
        assert token == ord(cache)  # a mixed-up slot would be fed another request's token
        return cache, self._logits(cache)

    def text(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


class House:
    def __init__(self, max_running: int = 8, max_waiting: int = 8) -> None:
        self.model = Counting()
        self.engine = engine = Engine(self.model)  # type: ignore[arg-type]
        self.metrics = Metrics()
        self.scheduler = Scheduler(engine, self.metrics, max_running=max_running, max_waiting=max_waiting)

    def ask(self, letter: str, tokens: int = 3, client: str = "someone", length: int = 5) -> Generation:
        prompt = Prompt({"letter": letter}, length, pictures=0)  # type: ignore[dict-item]
        return self.scheduler.submit(prompt, SamplingParams(tokens), client)


def run(test: Callable[[House], Coroutine[Any, Any, None]], **limits: int) -> House:
    async def go() -> House:
        house = House(**limits)
        try:
            await asyncio.wait_for(test(house), 20)
        finally:
            house.model.gate.set()
            house.scheduler.close()
        return house

    return asyncio.run(go())


async def text(generation: Generation) -> str:
    return "".join([event.text async for event in generation if isinstance(event, Piece)])


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def test_an_answer_comes_in_pieces_and_ends_with_its_counts() -> None:
    async def test(house: House) -> None:
        house.model.gate.set()
        events = [event async for event in house.ask("a", tokens=2)]
        assert events == [Piece("a"), Piece("a"), Finish("length", 5, 2)]

    run(test)


def test_many_answers_are_never_mixed_up() -> None:
    async def test(house: House) -> None:
        house.model.gate.set()
        letters = "abcdefgh"
        answers = await asyncio.gather(*(text(house.ask(letter, 20 + i)) for i, letter in enumerate(letters)))
        assert answers == [letter * (20 + i) for i, letter in enumerate(letters)]

    run(test, max_running=3)


def test_a_short_answer_is_not_held_up_by_a_long_one() -> None:
    async def test(house: House) -> None:
        long, short = house.ask("l", 200), house.ask("s", 2)
        house.model.gate.set()
        assert await text(short) == "ss"
        steps = "".join(house.model.steps)
        assert steps.index("s") < 4
        assert "lll" not in steps[: steps.rindex("s") + 1]
        assert await text(long) == "l" * 200

    run(test)


def test_no_more_run_at_once_than_allowed() -> None:
    async def test(house: House) -> None:
        generations = [house.ask(letter, 5) for letter in "abcd"]
        house.model.gate.set()
        await asyncio.gather(*map(text, generations))
        # With two places, c starts only after a or b has had all its five steps.
        steps = "".join(house.model.steps)
        before = steps[: steps.index("c")]
        assert before.count("a") == 5 or before.count("b") == 5

    run(test, max_running=2)


def test_clients_take_turns() -> None:
    async def test(house: House) -> None:
        first = house.ask("f", 1, client="greedy")
        await until(lambda: len(house.scheduler.waiting) == 0)  # it runs, and the gate holds it
        others = [house.ask(letter, 1, client="greedy") for letter in "abc"]
        modest = house.ask("m", 1, client="modest")
        house.model.gate.set()
        await asyncio.gather(*map(text, [first, *others, modest]))
        assert "".join(house.model.steps) == "fambc"

    run(test, max_running=1)


def test_a_full_queue_refuses_with_retry_after() -> None:
    async def test(house: House) -> None:
        running = house.ask("r", 1)
        await until(lambda: len(house.scheduler.waiting) == 0)
        waiting = [house.ask(letter, 1) for letter in "ab"]
        with pytest.raises(ApiError) as caught:
            house.ask("c", 1)
        assert (caught.value.status, caught.value.code) == (429, "queue_full")
        assert int(caught.value.headers["Retry-After"]) > 0
        house.model.gate.set()
        assert await asyncio.gather(*map(text, [running, *waiting])) == ["r", "a", "b"]
        assert await text(house.ask("d", 1)) == "d"

    run(test, max_running=1, max_waiting=2)


def test_a_cancelled_request_stops_and_frees_its_place() -> None:
    async def test(house: House) -> None:
        house.model.gate.set()
        endless = house.ask("e", 10**9)
        async for _ in endless:
            break
        endless.cancel()
        assert await text(house.ask("n", 3)) == "nnn"  # the only place is free again
        steps = house.model.steps.count("e")
        assert await text(house.ask("o", 50)) == "o" * 50
        assert house.model.steps.count("e") == steps
        endless.cancel()  # harmless

    run(test, max_running=1)


def test_a_cancelled_request_leaves_the_queue() -> None:
    async def test(house: House) -> None:
        running = house.ask("r", 1)
        await until(lambda: len(house.scheduler.waiting) == 0)
        house.ask("w", 1).cancel()
        assert len(house.scheduler.waiting) == 0
        house.model.gate.set()
        assert await text(running) == "r"

    house = run(test, max_running=1, max_waiting=1)
    assert "w" not in house.model.steps


def test_a_failing_prompt_fails_alone_and_the_log_keeps_its_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def test(house: House) -> None:
        house.model.broken = "x"
        good, bad = house.ask("g", 10), house.ask("x", 10)
        house.model.gate.set()
        with pytest.raises(ApiError) as caught:
            await text(bad)
        assert (caught.value.status, caught.value.code) == (500, "engine_failed")
        assert await text(good) == "g" * 10
        assert await text(house.ask("h", 2)) == "hh"

    run(test)
    assert "RuntimeError" in caplog.text
    assert "diary" not in caplog.text


def test_closing_fails_what_is_left_and_refuses_what_comes() -> None:
    async def test(house: House) -> None:
        running, waiting = house.ask("r", 10**9), house.ask("w", 1)
        house.model.gate.set()
        await until(lambda: len(house.model.steps) > 3)
        await asyncio.to_thread(house.scheduler.close)
        for generation in (running, waiting):
            with pytest.raises(ApiError, match="shutting down"):
                await text(generation)
        with pytest.raises(ApiError, match="shutting down"):
            house.ask("n")

    run(test, max_running=1)


def test_the_end_token_and_stop_strings_end_an_answer() -> None:
    async def test(house: House) -> None:
        house.model.gate.set()
        assert [event async for event in house.ask(chr(EOS), 10)] == [Finish("stop", 5, 1)]
        prompt = Prompt({"letter": "a"}, length=5, pictures=0)  # type: ignore[dict-item]
        stopped = house.scheduler.submit(prompt, SamplingParams(50, stop=("aaa",)), "someone")
        assert [event async for event in stopped] == [Finish("stop", 5, 3)]

    run(test)


@pytest.mark.parametrize("breaks_at", [1, 3])
def test_broken_numbers_are_no_answer_and_fail_alone(breaks_at: int) -> None:
    class Broken(Counting):
        def _logits(self, letter: str) -> torch.Tensor:
            row = super()._logits(letter)
            return (
                torch.full((128,), torch.nan) if self.steps.count("x") >= breaks_at and letter == "x" else row
            )

    async def test(house: House) -> None:
        house.model.gate.set()
        house.engine.model = Broken(gate=house.model.gate)  # type: ignore[assignment]
        good, bad = house.ask("g", 10), house.ask("x", 10)
        with pytest.raises(ApiError) as caught:
            await text(bad)
        assert caught.value.code == "engine_failed"
        assert await text(good) == "g" * 10

    run(test)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, CPU_ALLOCATOR])
@pytest.mark.parametrize("at", [1, 2])
def test_out_of_memory_is_a_503_and_the_server_lives(error: Exception, at: int) -> None:
    """In a prompt (the first forward) and in an answer (the second)."""

    class Hungry(Counting):
        def _logits(self, letter: str) -> torch.Tensor:
            row = super()._logits(letter)
            if letter == "x" and self.steps.count("x") == at:
                raise error
            return row

    async def test(house: House) -> None:
        house.model.gate.set()
        model = Hungry(gate=house.model.gate)
        house.engine.model = model  # type: ignore[assignment]
        with pytest.raises(ApiError) as caught:
            await text(house.ask("x", 10))
        assert (caught.value.status, caught.value.code) == (503, "out_of_memory")
        assert int(caught.value.headers["Retry-After"]) > 0
        assert await text(house.ask("h", 3)) == "hhh"
        assert model.steps.count("forget") == 1
        await until(lambda: not house.engine.slots)

    run(test)


def test_another_error_is_not_taken_for_want_of_memory() -> None:
    assert not memory.exhausted(RuntimeError("shapes do not match"))


def test_requests_wait_for_memory_and_none_is_passed_over() -> None:
    async def test(house: House) -> None:
        # Rows of 256 tokens; of a model of one layer they are counted twice: two fit.
        house.engine.budget = KVBudget(4 * 256)
        generations = [house.ask(letter, 5) for letter in "abcd"]
        house.model.gate.set()
        assert await asyncio.gather(*map(text, generations)) == [letter * 5 for letter in "abcd"]
        steps = "".join(house.model.steps)
        before = steps[: steps.index("c")]
        assert before.count("a") == 5 or before.count("b") == 5

        # A prompt of 300 makes rows of 512: it waits for the short one, and the last one waits behind it.
        house.engine.budget = KVBudget(4 * 512 - 1)
        house.model.steps.clear()
        short, long, last = house.ask("s", 50), house.ask("l", 5, length=300), house.ask("z", 5)
        assert [await text(one) for one in (short, long, last)] == ["s" * 50, "l" * 5, "z" * 5]
        steps = "".join(house.model.steps)
        assert steps.index("l") > steps.rindex("s")
        assert steps.index("z") > steps.rindex("l")

    run(test)


def test_an_answer_without_an_end_reserves_nothing_and_the_youngest_gives_way() -> None:
    """Both want 400 tokens and start; at 256 there is no room for both. The first is never sent back."""

    async def test(house: House) -> None:
        house.engine.budget = KVBudget(4 * 256)
        old, young = house.ask("o", 400), house.ask("y", 400)
        house.model.gate.set()
        assert await asyncio.gather(text(old), text(young)) == ["o" * 400, "y" * 400]
        steps = "".join(house.model.steps)
        assert steps.index("y") < 3  # it did not wait for what it might come to hold
        alone = steps[: steps.rindex("o")]
        assert "o" * 100 in alone
        # What it had said by then, at 5 + 250 tokens, was read again: prompt and 250 tokens, less one step.
        assert house.metrics.registry.get_sample_value("sightline_preempted_total") == 1
        assert steps.count("o") == 400
        assert steps.count("y") == 400 + steps[: steps.rindex("o")].count("y")

    run(test)


def test_who_was_sent_back_can_still_be_cancelled() -> None:
    async def test(house: House) -> None:
        house.engine.budget = KVBudget(4 * 256)
        old, young = house.ask("o", 900), house.ask("y", 900)
        house.model.gate.set()
        await until(lambda: house.model.steps.count("o") > 400)
        young.cancel()
        assert len(house.scheduler.waiting) == 0
        old.cancel()
        assert await text(house.ask("n", 3)) == "nnn"
        await until(lambda: not house.engine.slots)

    run(test)


def test_sent_back_means_to_the_head_of_the_line() -> None:
    queue = FairQueue()
    waiting = [type("S", (), {"client": client})() for client in "aabb"]
    for one in waiting:
        queue.put(one)
    taken = [queue.take(), queue.take()]  # a's first, b's first
    queue.put_back(taken[1])
    queue.put_back(taken[0])
    assert [queue.take() for _ in range(4)] == [taken[0], taken[1], waiting[1], waiting[3]]


def test_an_empty_queue_forgets_its_clients() -> None:
    queue = FairQueue()
    for client in "abc":
        queue.put(type("S", (), {"client": client})())
    while len(queue):
        queue.take()
    assert not queue.lanes
