"""What holds for every estimate: more work never takes less memory, and nothing unknown is guessed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.catalogue import load_model
from sightline.catalogue.entries import CATALOGUE, names
from sightline.catalogue.reading import read_entry
from sightline.catalogue.schema import schema_problems
from sightline.fit import (
    CannotEstimate,
    Cards,
    Workload,
    cards_of_host,
    choose_engine,
    estimate,
    fit_on,
    known_cards,
    options,
    parse_cards,
)
from sightline.fit.gpus import UnknownCard

MODELS = names("model")
LLAMA_90B = "llama-3.2-90b-vision-bnb-4bit"
WORKLOADS = st.builds(
    Workload,
    context=st.integers(256, 131072),
    slots=st.integers(1, 32),
    pictures=st.integers(0, 16),
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
)


def total(name: str, workload: Workload, cards: int = 1) -> int:
    model = load_model(name)
    return estimate(model, choose_engine(model)[0], workload).per_card(cards)


def broken(name: str, **changed: Any) -> dict[str, Any]:
    model = copy.deepcopy(load_model(name))
    model["architecture"] |= changed
    return model


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(MODELS),
    workload=WORKLOADS,
    more=st.sampled_from(["context", "slots", "pictures"]),
    by=st.integers(1, 5000),
)
def test_more_never_takes_less(name: str, workload: Workload, more: str, by: int) -> None:
    larger = replace(workload, **{more: getattr(workload, more) + by})
    assert total(name, larger) >= total(name, workload)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(MODELS), workload=WORKLOADS, cards=st.integers(1, 15))
def test_more_cards_never_fill_each_more(name: str, workload: Workload, cards: int) -> None:
    assert total(name, workload, cards + 1) <= total(name, workload, cards)


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(MODELS), workload=WORKLOADS, card=st.sampled_from(sorted(known_cards())))
def test_what_is_proposed_fits(name: str, workload: Workload, card: str) -> None:
    model = load_model(name)
    fit = fit_on(model, choose_engine(model)[0], workload, parse_cards(card))
    if fit.outcome == "fits":
        return
    for option in options(model, fit):
        assert option.needed_bytes <= option.room_bytes


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(MODELS), workload=WORKLOADS)
def test_terms_are_positive_and_say_how(name: str, workload: Workload) -> None:
    model = load_model(name)
    found = estimate(model, choose_engine(model)[0], workload)
    assert found.total == sum(term.bytes for term in found.terms)
    assert found.certain <= found.total
    assert all(term.bytes >= 0 and term.says for term in found.terms)


# --- what is not known ------------------------------------------------------------------------------------


def test_an_unknown_family_is_refused_and_bounded() -> None:
    model = broken("llava-1.5-7b-gguf", family="mamba-vl")
    with pytest.raises(CannotEstimate, match="mamba-vl") as refused:
        estimate(model, choose_engine(model)[0], Workload())
    assert refused.value.at_least == 4081004224 + 624434336
    assert "families.py" in refused.value.remedy


def test_a_missing_number_is_refused() -> None:
    model = copy.deepcopy(load_model("qwen2.5-vl-7b"))
    model["architecture"]["text"]["kv_heads"] = None
    with pytest.raises(CannotEstimate, match=r"text\.kv_heads"):
        estimate(model, choose_engine(model)[0], Workload())


def test_an_unknown_picture_rule_is_refused() -> None:
    model = broken("qwen2.5-vl-7b", picture_tokens={"rule": "spiral", "says": "?"})
    with pytest.raises(CannotEstimate, match="spiral"):
        estimate(model, choose_engine(model)[0], Workload())


def test_a_family_without_gguf_formulae_is_refused() -> None:
    model = load_model("qwen2.5-vl-7b")
    gguf = choose_engine(load_model("llava-1.5-7b-gguf"))[0]
    with pytest.raises(CannotEstimate, match="qwen-vl in llamacpp"):
        estimate(model, gguf, Workload())


def test_weights_of_unknown_size_and_parameters() -> None:
    model = copy.deepcopy(load_model("qwen2.5-vl-7b"))
    model["files"], model["parameters"]["total"] = [], None
    with pytest.raises(CannotEstimate, match="parameters") as refused:
        estimate(model, choose_engine(model)[0], Workload())
    assert refused.value.at_least is None


def test_an_engine_that_does_not_serve_says_why() -> None:
    with pytest.raises(CannotEstimate, match="mllama"):
        choose_engine(load_model(LLAMA_90B), "vllm")


def test_vllm_deals_out_whole_heads() -> None:
    """Qwen2.5-VL 7B has 28 heads, 4 of them for keys, and 16 in its tower: 2 and 4 divide all of them.

    vLLM: "Total number of attention heads (28) must be divisible by tensor parallel size (3)".
    """
    model = load_model("qwen2.5-vl-7b")
    vllm = choose_engine(model, "vllm")[0]
    used = {count: fit_on(model, vllm, Workload(), parse_cards(f"a10x{count}")).used for count in range(1, 9)}
    assert used == {1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 4, 8: 4}
    # 16.6 GB of weights: three cards of 8 GiB would hold them, and four are what vLLM can use.
    small = fit_on(model, vllm, Workload(), parse_cards("8g"))
    assert [option.words for option in options(model, small) if option.kind == "cards"] == [("--gpu", "8gx4")]


# --- verdicts ---------------------------------------------------------------------------------------------


def kinds(name: str, card: str, workload: Workload) -> set[str]:
    model = load_model(name)
    fit = fit_on(model, choose_engine(model)[0], workload, parse_cards(card))
    assert fit.outcome != "fits"
    return {option.kind for option in options(model, fit)}


def test_the_seed_system_fits_80_gb_and_not_24() -> None:
    model = load_model(LLAMA_90B)
    engine, workload = choose_engine(model)[0], Workload(context=8192, pictures=4)
    assert fit_on(model, engine, workload, parse_cards("h100-80g")).outcome == "fits"
    small = fit_on(model, engine, workload, parse_cards("rtx-4090"))
    assert small.outcome == "does not fit"
    # 48.9 GB of weights alone are more than 25.8 GB; so neither context nor pictures can help.
    assert {option.kind for option in options(model, small)} == {"cards", "card", "model"}
    cards = next(option for option in options(model, small) if option.kind == "cards")
    assert "one card" in cards.caveat


def test_smaller_settings_are_proposed() -> None:
    assert {"slots", "card"} <= kinds("qwen2.5-vl-7b", "l4", Workload(context=16384, slots=8))
    assert "context" in kinds("phi-3-vision-128k", "rtx-4080", Workload(context=16384))
    assert "quantisation" in kinds("qwen2.5-vl-7b", "rtx-4080", Workload())


def test_pictures_that_the_context_cannot_hold() -> None:
    model = load_model("qwen2.5-vl-7b")
    fit = fit_on(model, choose_engine(model)[0], Workload(context=4096, pictures=4), parse_cards("h100-80g"))
    # 4 pictures of 48 x 36 tokens are 6912
    assert fit.context_trouble
    assert "6912" in fit.context_trouble
    proposed = {option.kind: option.says for option in options(model, fit)}
    assert proposed["pictures"] == "2 pictures in a conversation"
    assert proposed["context"] == "a context of 7168 tokens"  # 6912 + 256


def test_only_estimates_decide() -> None:
    """A card that holds what is certain and not what is estimated: neither yes nor no."""
    model = load_model(LLAMA_90B)
    fit = fit_on(model, choose_engine(model)[0], Workload(context=8192, pictures=4), parse_cards("57g"))
    assert fit.outcome == "uncertain"
    assert fit.certain < fit.room < fit.needed


# --- cards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "gib", "count"), [("h100-80gx2", 79.6, 2), ("RTX 4090", 24.0, 1), ("24g", 24, 1)]
)
def test_cards_by_name(text: str, gib: float, count: int) -> None:
    cards = parse_cards(text)
    assert cards.count == count
    assert cards.card.memory_bytes / 2**30 == pytest.approx(gib, abs=0.1)


@pytest.mark.parametrize("text", ["h100", "h100-80gx0", "h100-80gx99", "rtx4090", "0g", ""])
def test_cards_that_there_are_not(text: str) -> None:
    with pytest.raises(UnknownCard):
        parse_cards(text)


def test_a_near_name_is_told() -> None:
    with pytest.raises(UnknownCard, match="h100-80g"):
        parse_cards("h100-80")


def test_cards_of_a_host_are_counted_by_the_smallest() -> None:
    gpus = [
        {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": 81559 * 2**20},
        {"name": "NVIDIA L4", "memory_bytes": 23034 * 2**20},
    ]
    found = cards_of_host(gpus)
    assert isinstance(found, Cards)
    assert (found.card.title, found.count, found.card.memory_bytes) == ("NVIDIA L4", 2, 23034 * 2**20)
    assert found.card.bandwidth == 300e9
    assert cards_of_host([]) is None


def test_a_card_that_nobody_knows_has_no_peaks() -> None:
    found = cards_of_host([{"name": "Somebody's 7", "memory_bytes": 8 * 2**30}])
    assert found
    assert (found.card.bandwidth, found.card.name) == (None, "")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"memory_mib": "24 GB"}, "whole number"),
        ({"memory_mib": 0}, "above 0"),
        ({"listed_as": []}, "empty"),
        ({"bandwith": 1}, "bandwidth_gbps"),
    ],
)
def test_a_card_that_breaks_the_schema_is_told(changed: dict[str, Any], told: str) -> None:
    entry = copy.deepcopy(read_entry(CATALOGUE / "gpus.yml", "gpus.yml"))
    assert schema_problems("gpus", entry, "gpus.yml") == []
    entry["cards"]["l4"] |= changed
    assert told in " ".join(str(problem) for problem in schema_problems("gpus", entry, "gpus.yml"))
