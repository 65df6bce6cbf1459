"""The estimator against figures that others published: weights and caches, picture tokens, whole totals."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sightline.catalogue import load_model
from sightline.fit import Estimate, Workload, choose_engine, estimate
from sightline.fit.architecture import TextModel, VisionTower, read_architecture
from sightline.fit.formulas import (
    article_bytes,
    cross_state_bytes,
    kept_hidden_states_bytes,
    kv_bytes_per_token,
    layer_activation_bytes,
    llama_compute_bytes,
    quantised_bytes,
)
from sightline.fit.pictures import grid_tokens, hd_crop_tokens, hd_crops, picture_cost
from sightline.fit.weights import parameter_bytes

KIB, MIB, GIB = 2**10, 2**20, 2**30
LLAMA_11B = "llama-3.2-11b-vision-bnb-4bit"
LLAMA_90B = "llama-3.2-90b-vision-bnb-4bit"


def within(found: float, published: float, share: float = 0.1) -> bool:
    return abs(found - published) <= share * published


def text_of(name: str) -> TextModel:
    return read_architecture(load_model(name)).text


def sixteen_bits(name: str) -> dict[str, Any]:
    """A model of the catalogue as its maker published it: in bfloat16, no file known."""
    model = copy.deepcopy(load_model(name))
    model["quantisation"] |= {"method": "none", "double": None, "bits_per_weight": 16}
    model["files"] = []
    return model


def qwen(layers: int, hidden: int, heads: int, kv_heads: int) -> TextModel:
    """A Qwen2.5-VL of another size, from the config.json of that size."""
    return TextModel(layers, 0, hidden, 4 * hidden, heads, kv_heads, 128, 152064, 128000)


# --- weights ----------------------------------------------------------------------------------------------


def test_weights_of_llama_11b_in_16_bits() -> None:
    """vLLM's log: loading model weights took 19.9073 GB (which are GiB)."""
    model = sixteen_bits(LLAMA_11B)
    assert within(parameter_bytes(model, read_architecture(model)) / GIB, 19.907)


def test_weights_of_qwen() -> None:
    """vLLM's log says 15.45 GiB; the catalogue has every file's size."""
    found = estimated("qwen2.5-vl-7b", Workload())
    assert round(found.terms[0].bytes / GIB, 2) == pytest.approx(15.45, abs=0.01)
    assert found.terms[0].basis == "exact"


def test_weights_of_clip() -> None:
    """llama.cpp's log: clip's model size is 595.49 MB (MiB)."""
    projector = [file for file in load_model("llava-1.5-7b-gguf")["files"] if file["role"] == "projector"]
    assert round(projector[0]["size"] / MIB, 1) == 595.5


def test_weights_of_four_bits_from_parameters() -> None:
    """Unsloth's checkpoints: 48.94 GB for the 90B (the article's log), 7.18 GB for the 11B (the hub)."""
    for name, published in ((LLAMA_90B, 48.94e9), (LLAMA_11B, 7.18e9)):
        model = load_model(name)
        assert within(quantised_bytes(model["parameters"]["total"], text_of(name), 4.127), published, 0.03)


def test_weights_of_q4_k_from_parameters() -> None:
    """4.08 GB for LLaVA's language model of 6.74 billion parameters at about 4.82 bits a weight."""
    language = load_model("llava-1.5-7b-gguf")["files"][0]["size"]
    assert within(6.74e9 * 4.82 / 8, language, 0.01)


# --- caches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kib"),
    [
        (text_of(LLAMA_11B), 128),
        (text_of(LLAMA_90B), 320),
        (text_of("llava-1.5-7b-gguf"), 512),
        (text_of("phi-3-vision-128k"), 384),
        (text_of("qwen2.5-vl-7b"), 56),
        (qwen(36, 2048, 16, 2), 36),
        (qwen(80, 8192, 64, 8), 320),
    ],
    ids=["llama-11b", "llama-90b", "llava", "phi-3", "qwen-7b", "qwen-3b", "qwen-72b"],
)
def test_kv_cache_of_a_token(text: TextModel, kib: int) -> None:
    assert kv_bytes_per_token(text, 2) == kib * KIB


@pytest.mark.parametrize(("name", "mib"), [(LLAMA_11B, 200), (LLAMA_90B, 500)])
def test_cross_states_of_a_picture(name: str, mib: int) -> None:
    assert within(cross_state_bytes(text_of(name), 4 * 1601, 2) / MIB, mib, 0.001)


@pytest.mark.parametrize(("name", "mib"), [(LLAMA_11B, 656.2), (LLAMA_90B, 1.6 * 1024)])
def test_ollama_cache_at_2048_tokens(name: str, mib: float) -> None:
    """Ollama's log; it holds the pictures' states in float32, so they count twice there."""
    text = text_of(name)
    found = 2048 * kv_bytes_per_token(text, 2) + cross_state_bytes(text, 4 * 1601, 4)
    assert within(found / MIB, mib, 0.005)


def test_mllama_counts_no_text_in_cross_attention_layers() -> None:
    """A broken count over all 40 layers would say 160 KiB a token instead of 128."""
    text = text_of(LLAMA_11B)
    assert (text.layers, text.self_attention_layers) == (40, 32)


# --- totals -----------------------------------------------------------------------------------------------


def estimated(name: str, workload: Workload) -> Estimate:
    model = load_model(name)
    return estimate(model, choose_engine(model)[0], workload)


def test_total_of_llava_in_llama_cpp() -> None:
    """The article: 8246 MiB after start at a context of 4096, all layers on the GPU."""
    found = estimated("llava-1.5-7b-gguf", Workload(context=4096, pictures=1))
    assert within(found.total / MIB, 8246)


def test_total_of_llama_11b_in_transformers() -> None:
    """vLLM's issue 9163: transformers takes at most 22,637 MiB in bfloat16 for one picture."""
    model = sixteen_bits(LLAMA_11B)
    found = estimate(model, choose_engine(model)[0], Workload(context=1024, pictures=1))
    assert within(found.total / MIB, 22637)


def test_llama_compute_buffer() -> None:
    """llama.cpp's log for a 7B model at a context of 4096: CUDA0 compute buffer size 296.00 MiB."""
    assert within(llama_compute_bytes(text_of("llava-1.5-7b-gguf"), 4096) / MIB, 296)


def test_seed_system_fits_its_card() -> None:
    """The article ran it on one H800 of 80 GB; its own rule of thumb says 54 GB for 90 billion parameters."""
    found = estimated(LLAMA_90B, Workload(context=8192, pictures=4))
    assert 48.94e9 < found.total < 80e9
    assert article_bytes(90 * 10**9, 4) == 54 * 10**9
    assert article_bytes(90 * 10**9, 16) == 216 * 10**9


def test_formulas_by_hand() -> None:
    vision = VisionTower(32, 8, 1280, 5120, 16, 14, 560)
    # 2 x 33 x 6432 patches x 1280 wide x 2 bytes
    assert kept_hidden_states_bytes(6432, vision, 2) == 1_086_750_720
    # 10 x (6 x 100 + 3 x 400) x 2
    assert layer_activation_bytes(10, 100, 400, 2) == 36_000


def test_states_of_conversations_that_answer_together() -> None:
    """90B: 64 heads of 128 over 4 x 6404 states, in 2 + 2 + 4 + 4 bytes, are 2.52 GB a conversation.

    In one conversation the tower's 5.53 GB are free again by then; eight need 20.1 GB at once.
    """
    each = 4 * 6404 * 64 * 128 * 12
    tower = 25728 * (6 * 1280 + 3 * 5120) * 2 + 2 * 33 * 25728 * 1280 * 2
    found = {
        slots: {
            term.name: term.bytes
            for term in estimated(LLAMA_90B, Workload(context=8192, pictures=4, slots=slots)).terms
        }
        for slots in (1, 2, 8)
    }
    assert found[1]["vision activations"] == tower
    assert found[2]["prompt activations"] == found[1]["prompt activations"]
    assert found[8]["prompt activations"] - found[1]["prompt activations"] == 8 * each - tower


# --- pictures ---------------------------------------------------------------------------------------------


def test_tokens_of_each_family() -> None:
    cost = {
        name: picture_cost(read_architecture(load_model(name)), 1344, 1008)
        for name in (LLAMA_90B, "llava-1.5-7b-gguf", "phi-3-vision-128k", "qwen2.5-vl-7b")
    }
    assert (cost[LLAMA_90B].text_tokens, cost[LLAMA_90B].cross_states) == (1, 4 * 1601)
    assert (cost["llava-1.5-7b-gguf"].text_tokens, cost["llava-1.5-7b-gguf"].cross_states) == (576, 0)
    assert cost["phi-3-vision-128k"].text_tokens == 1921
    assert cost["qwen2.5-vl-7b"].text_tokens == 48 * 36  # 1344 / 28 and 1008 / 28


@pytest.mark.parametrize(
    ("size", "crops", "tokens"),
    [
        ((1344, 1008), (3, 4), 1921),
        ((1008, 1344), (4, 3), 13 * 144 + 1 + 5 * 12),
        ((336, 336), (4, 4), 17 * 144 + 1 + 5 * 12),
        ((5000, 10), (1, 16), 17 * 144 + 1 + 2 * 12),
    ],
)
def test_phi_crops(size: tuple[int, int], crops: tuple[int, int], tokens: int) -> None:
    assert hd_crops(*size, max_crops=16) == crops
    assert hd_crop_tokens(*crops) == tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1344, 1008), 48 * 36),
        ((1350, 1000), 48 * 36),  # rounded to the nearest multiple of 28
        ((28, 28), 2 * 2),  # 3136 pixels at least: scaled to 56 x 56
        # 12,845,056 pixels at most: scaled by sqrt(12000 x 9000 / 12,845,056) = 2.8997 to 110.8 x 147.8 cells
        ((12000, 9000), 110 * 147),
    ],
)
def test_qwen_grid(size: tuple[int, int], tokens: int) -> None:
    rule = load_model("qwen2.5-vl-7b")["architecture"]["picture_tokens"]
    assert grid_tokens(*size, rule) == tokens
