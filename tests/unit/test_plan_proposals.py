"""What scripts/plan proposes does what it says: asked for literally, it fits."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.catalogue.entries import names
from sightline.quote.cli import main

LLAMA_90B = "llama-3.2-90b-vision-bnb-4bit"


def asked(words: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Ask the command in this process; what it answers is empty where it cannot tell."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        status = main([*words, "--json"])
    return status, json.loads(said.getvalue() or "{}")


def each_proposal_fits(question: Sequence[str]) -> int:
    """Feed every proposal back, its words after those of the question; returns how many there were."""
    status, answer = asked(question)
    proposals = [option for option in answer.get("options", []) if option["words"]]
    assert status != 0 or not proposals
    for option in proposals:
        again, fits = asked([*question, *option["words"]])
        assert again == 0, (question, option)
        assert fits["fit"]["needed_bytes"] == option["needed_bytes"], (question, option)
    return len(proposals)


@pytest.mark.parametrize(
    "question",
    [
        ("--model", LLAMA_90B, "--gpu", "rtx-4090", "--context", "8192", "--pictures", "4"),
        ("--model", LLAMA_90B, "--gpu", "rtx-4090", "--release", "seed-cu124"),
        ("--model", LLAMA_90B, "--gpu", "rtx-4090", "--engine", "sightline-serve"),
        ("--model", "qwen2.5-vl-7b", "--gpu", "8g", "--engine", "vllm"),
        ("--model", "qwen2.5-vl-7b", "--gpu", "rtx-4080", "--slots", "8", "--pictures", "3"),
        ("--model", "qwen3-vl-8b", "--gpu", "l4", "--engine", "vllm", "--slots", "16"),
        ("--model", "llava-1.5-7b-gguf", "--gpu", "6g"),
        ("--model", "canary", "--gpu", "l4", "--pictures", "100"),
    ],
    ids=lambda words: " ".join(words[1:4:2]),
)
def test_proposals_of_questions_that_people_ask(question: tuple[str, ...]) -> None:
    assert each_proposal_fits(question) > 0


@settings(max_examples=12, deadline=None)
@given(
    model=st.sampled_from(names("model")),
    card=st.sampled_from(["4g", "8g", "t4", "rtx-4080", "l4", "l4x3", "a100-40g"]),
    context=st.sampled_from([None, 512, 4096, 8192, 32768, 200000]),
    slots=st.integers(1, 12),
    pictures=st.integers(0, 8),
    size=st.sampled_from(["1344x1008", "28x28", "4000x3000"]),
    engine=st.sampled_from([None, "sightline-serve", "vllm", "llamacpp"]),
    release=st.sampled_from([None, "seed-cu124"]),
)
def test_every_proposal_fits(
    model: str,
    card: str,
    context: int | None,
    slots: int,
    pictures: int,
    size: str,
    engine: str | None,
    release: str | None,
) -> None:
    question = ["--model", model, "--gpu", card, "--slots", str(slots), "--pictures", str(pictures)]
    question += ["--picture-size", size]
    question += ["--context", str(context)] if context else []
    question += ["--engine", engine] if engine else []
    question += ["--release", release] if release else []
    each_proposal_fits(question)
