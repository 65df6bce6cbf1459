"""A follow-up begins with what the cache holds of the conversation, and says what it would say anyway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sightline_serve import loaders
from sightline_serve.engine import Engine
from sightline_serve.loaders.vision_text import VisionTextModel
from sightline_serve.prefix_cache import LEAST, MOST, PrefixCache
from sightline_serve.reading import Prompt
from sightline_serve.settings import Settings

from tests.serve import tiny_families
from tests.serve.crowd import generated, prompt
from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import ServerProcess

SAID = 10


@pytest.fixture(scope="module", params=["llava", "qwen2_5_vl", "mllama"])
def folder(request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "llava":
        return tiny
    made = tmp_path_factory.mktemp(request.param)
    return tiny_families.mllama(made) if request.param == "mllama" else tiny_families.qwen(made)


def keeping(folder: Path, limit: int = 2**24) -> Engine:
    return Engine(loaders.load(Settings(folder, "m", vision_cache_bytes=2**20)), prefix_bytes=limit)


def followed(one: Prompt, said: list[int], more: list[int]) -> Prompt:
    """The conversation so far and a few tokens more, as the processor would write it."""
    ids = torch.cat([one.inputs["input_ids"], torch.tensor([[*said, *more]])], dim=1)
    inputs = {**one.inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "cross_attention_mask" in inputs:
        mask = inputs["cross_attention_mask"]
        more_mask = mask[:, -1:].expand(-1, len(said) + len(more), -1, -1)
        inputs["cross_attention_mask"] = torch.cat([mask, more_mask], dim=1)
    return replace(one, inputs=inputs, length=ids.shape[1])


def answer(engine: Engine, one: Prompt, tokens: int = SAID) -> tuple[list[int], int]:
    """What it says, and how much of the prompt was there before."""
    slot, logits = engine.prefill(one)
    said = [int(logits.argmax())]
    while len(said) < tokens:
        said.append(int(engine.decode([slot], [said[-1]])[0].argmax()))
    engine.release(slot, keep=True)
    return said, slot.reused


def talk(engine: Engine) -> list[bool]:
    """Three turns about two pictures, beside somebody else's: whether each says what `generate` says."""
    one = prompt(engine, "a question that is long enough to be kept", [disc("red"), disc("blue")])
    engine.prefill(prompt(engine, "somebody else, who stays", [disc("green")]))
    right, known = [], 0
    for turn in range(3):
        said, reused = answer(engine, one)
        right.append(said == generated(engine, one, SAID))
        assert reused == known
        known = one.length + SAID - 1  # all but the answer's last token, which was never read
        one = followed(one, said, [30 + turn, 40, 50])
    engine.release(engine.slots[0])
    return right


def test_a_follow_up_reads_only_what_is_new(folder: Path) -> None:
    assert talk(keeping(folder)) == [True, True, True]


def test_other_pictures_are_another_text(folder: Path) -> None:
    """The same words, the same number of tokens."""
    engine = keeping(folder)
    found = []
    for colours in (("red", "blue"), ("blue", "red"), ("red", "black"), ("red", "blue")):
        one = prompt(engine, "which of the two is larger? say it in a word", [disc(c) for c in colours])
        said, reused = answer(engine, one)
        assert said == generated(engine, one, SAID)
        found.append(reused)
    # What is before the first picture that differs is too little to be used.
    assert found == [0, 0, 0, one.length - 1]


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are the same if they take the same places."""
    honest = VisionTextModel.identity
    monkeypatch.setattr(VisionTextModel, "identity", lambda s, p, m: honest(s, replace(p, keys=()), m))


def one_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is said to hold a token more than it does."""
    honest = PrefixCache.longest

    def longest(self: PrefixCache, identity: Any, owner: str = "") -> Any:
        kept, common = honest(self, identity, owner)
        return {n: (torch.roll(k, 1, 2), v) for n, (k, v) in kept.items()}, common

    monkeypatch.setattr(PrefixCache, "longest", longest)


@pytest.mark.parametrize("break_it", [blind, one_short])
def test_a_mixed_up_beginning_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None]
) -> None:
    break_it(monkeypatch)
    engine = keeping(folder)
    right = []
    for colours in (("red", "blue"), ("black", "red")):
        one = prompt(engine, "which of the two is larger? say it in a word", [disc(c) for c in colours])
        right.append(answer(engine, one)[0] == generated(engine, one, SAID))
        again = followed(one, generated(engine, one, SAID), [33, 44])
        right.append(answer(engine, again)[0] == generated(engine, again, SAID))
    assert not all(right)


def layers(tokens: int) -> Any:
    return {0: (torch.zeros(1, 1, tokens, 2), torch.zeros(1, 1, tokens, 2))}  # 16 bytes a token


def text(*numbers: int) -> Any:
    return np.concatenate([np.full(LEAST, number) for number in numbers])


def test_bytes_are_bounded_and_the_least_recently_used_goes_first() -> None:
    cache = PrefixCache(3 * 16 * LEAST)
    for number in (1, 2, 3):
        cache.keep(text(number), layers(LEAST))
    assert cache.size == 3 * 16 * LEAST
    assert cache.longest(text(1, 9))[1] == LEAST
    cache.keep(text(4), layers(LEAST))
    assert [cache.longest(text(number))[1] for number in (1, 2, 3, 4)] == [LEAST, 0, LEAST, LEAST]
    assert cache.wants(3 * LEAST, 16)
    assert not cache.wants(3 * LEAST + 1, 16)
    assert not cache.wants(LEAST - 1, 16)
    cache.clear()
    assert (cache.size, cache.longest(text(1))) == (0, ({}, 0))


def test_a_longer_text_takes_the_place_of_its_beginning_and_the_most_alike_is_found() -> None:
    cache = PrefixCache(2**20)
    cache.keep(text(1), layers(LEAST))
    cache.keep(text(1, 2, 3), layers(3 * LEAST))
    cache.keep(text(1, 2, 4), layers(3 * LEAST))
    assert (len(cache.kept), cache.size) == (2, 2 * 3 * 16 * LEAST)
    found, common = cache.longest(text(1, 2, 4, 5))
    assert (found[0][0].shape[2], common) == (3 * LEAST, 3 * LEAST)
    assert cache.longest(text(1, 2, 9))[1] == 2 * LEAST
    for number in range(10, 10 + 2 * MOST):
        cache.keep(text(number), layers(LEAST))
    assert len(cache.kept) == MOST


def test_nobody_begins_with_anothers_text() -> None:
    cache = PrefixCache(2**20)
    cache.keep(text(1, 2), layers(2 * LEAST), "alice")
    assert cache.longest(text(1, 2), "bob") == ({}, 0)
    cache.keep(text(1), layers(LEAST), "bob")
    assert [cache.longest(text(1, 2), owner)[1] for owner in ("alice", "bob")] == [2 * LEAST, LEAST]
    cache.keep(text(1, 2, 3), layers(3 * LEAST), "alice")
    assert len(cache.kept) == 2, "alice's longer text takes the place of hers, not of bob's"


def test_keys_share_no_cached_tokens(start: Callable[..., ServerProcess], tiny: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice one\nbob two\n")
    keys.chmod(0o600)
    server = start(tiny, "--api-key-file", str(keys))
    body = ask("a question that is long enough to be kept", data_url(encoded(disc())), max_tokens=5)

    def cached(key: str) -> int:
        told = server.post(body, headers={"Authorization": f"Bearer {key}"}).json()
        return int(told["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert [cached("one"), cached("two")] == [0, 0]
    assert min(cached("one"), cached("two")) > 0


def test_usage_and_metrics_tell(start: Callable[..., ServerProcess], tiny: Path) -> None:
    server = start(tiny)
    body = ask("a question that is long enough to be kept", data_url(encoded(disc())), max_tokens=5)
    first, again = (server.post(body).json() for _ in range(2))
    assert first["choices"] == again["choices"]
    tokens = first["usage"]["prompt_tokens"]
    cached = [one["usage"]["prompt_tokens_details"]["cached_tokens"] for one in (first, again)]
    assert cached == [0, tokens - 1]
    assert server.metric("sightline_reused_prompt_tokens_total") == tokens - 1
    off = start(tiny, "--prefix-cache-mib", "0")
    assert [off.post(body).json()["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(2)] == [
        0,
        0,
    ]
