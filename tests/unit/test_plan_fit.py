"""The plan phase and the GPU's memory: what is refused before anything is touched, and what is only noted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sightline.catalogue import load_model, load_release
from sightline.plan import Plan, Refusal
from sightline.preparing import prepare
from tests.unit.test_plan import Inputs, deployed, on_a_gpu
from tests.unit.test_preparing import host

MIB, GB = 2**20, 10**9
CARDS = {"4090": 24564 * MIB, "h100": 81559 * MIB, "57": 57 * 1024 * MIB}


def seed(card: str, **workload: int) -> Inputs:
    """Llama 90B on a host with one card, with room for everything else."""
    inputs = Inputs()
    inputs.model = copy.deepcopy(load_model("llama-3.2-90b-vision-bnb-4bit"))
    inputs.release = copy.deepcopy(load_release("seed-cu124"))
    on_a_gpu(inputs)
    inputs.facts["gpus"][0]["memory_bytes"] = CARDS[card]
    inputs.facts["python"] = [{"path": "/usr/bin/python3.12", "version": "3.12.3", "venv": True}]
    inputs.facts["root"]["free_bytes"] = 200 * GB
    inputs.facts["memory"] = {"total_bytes": 100 * GB, "available_bytes": 90 * GB}
    inputs.settings["workload"] = workload
    return inputs


def refusal_of(plan: Plan) -> Refusal | None:
    found = [refusal for refusal in plan.refusals if refusal.check == "model_fits_gpu"]
    assert len(found) <= 1
    return found[0] if found else None


def test_the_seed_system_fits_its_card() -> None:
    plan = seed("h100", context=8192, pictures=4).plan()
    assert refusal_of(plan) is None
    assert plan.fit
    assert plan.fit["outcome"] == "fits"
    assert "GPU memory for 1 conversation of 8192 tokens with 4 pictures each: 64.2 GB (weights 48.9 GB" in (
        plan.as_text()
    )


def test_a_small_card_is_refused_with_what_would_do() -> None:
    refused = refusal_of(seed("4090", context=8192, pictures=4).plan())
    assert refused
    assert refused.what == "llama-3.2-90b-vision-bnb-4bit needs 64.2 GB; a GPU has 25.4 GB for it"
    assert "weights 48.9 GB + KV cache 2.68 GB + cross-attention states 2.10 GB" in refused.why
    assert "a host with one H100 80 GB SXM" in refused.remedy
    assert "another model, such as sightline_model=qwen3-vl-8b" in refused.remedy


def test_a_setting_that_can_be_smaller_is_proposed() -> None:
    """60 conversations of 8192 tokens are 161 GB of cache beside 48.9 GB of weights."""
    refused = refusal_of(seed("h100", context=8192, slots=60).plan())
    assert refused
    assert "sightline_slots=" in refused.remedy


def test_a_context_too_long_for_the_model_is_refused() -> None:
    refused = refusal_of(seed("h100", context=200_000).plan())
    assert refused
    assert "at most 131072 tokens" in refused.what
    assert "sightline_context=" in refused.remedy


def test_what_only_estimates_decide_is_a_note() -> None:
    plan = seed("57", context=8192, pictures=4).plan()
    assert refusal_of(plan) is None
    assert any("may not fit the GPU" in note for note in plan.notes)


def test_a_card_without_bfloat16_is_noted() -> None:
    """Compute capability 7.0, where bfloat16 begins at 8.0."""
    inputs = seed("h100")
    assert not any("bfloat16" in note for note in inputs.plan().notes)
    inputs.facts["gpus"][0]["name"] = "Tesla V100-SXM2-32GB"
    assert any("V100 32 GB (compute capability 7.0" in note for note in inputs.plan().notes)


def test_without_settings_the_least_is_counted() -> None:
    plan = seed("h100").plan()
    assert plan.fit
    assert plan.fit["asked"] == "1 conversation of 4096 tokens with 1 picture each"


def test_a_running_server_is_not_weighed_again() -> None:
    """The card holds it already; and a no-change run has nothing to say."""
    inputs = Inputs()
    on_a_gpu(inputs)
    inputs.model["files"][0]["size"] = 90 * GB
    inputs.facts["root"]["free_bytes"] = 900 * GB
    assert refusal_of(inputs.plan())
    deployed(inputs)
    plan = inputs.plan()
    assert refusal_of(plan) is None
    assert (plan.fit, plan.gpu) == (None, ())


def test_on_a_cpu_no_gpu_is_weighed() -> None:
    inputs = seed("4090")
    inputs.settings["device"] = "cpu"
    assert refusal_of(inputs.plan()) is None


@pytest.mark.parametrize(("size", "refused"), [(90 * GB, True), (4_000_000, False)])
def test_where_nobody_can_say_the_weights_are_a_bound(size: int, refused: bool) -> None:
    inputs = Inputs()
    on_a_gpu(inputs)
    inputs.facts["root"]["free_bytes"] = 900 * GB
    inputs.model["files"][0]["size"] = size
    inputs.model["architecture"]["text"]["head_dim"] = None
    inputs.model["provenance"]["architecture"] = {
        "status": "stated",
        "source": "a test",
        "unknown": ["text.head_dim"],
    }
    found = refusal_of(inputs.plan())
    assert bool(found) == refused
    if found:
        assert found.what == "the weights of canary are 90.0 GB; all GPUs have 80.0 GB"


def test_the_settings_reach_the_plan() -> None:
    """As Ansible hands them over: some as text."""
    start: dict[str, Any] = {"user": "root", "manager": "systemd", "port": 8642}
    wanted = {
        "host": host(Inputs()),
        "engine": "sightline-serve",
        "root": "/srv/s",
        "port": "8642",
        "start": start,
    }
    workload = {"context": "1024", "slots": 2, "pictures": 0}
    made = prepare(load_model("canary"), load_release("cpu"), wanted | {"workload": workload})
    assert made.settings["workload"] == {"context": 1024, "slots": 2, "pictures": 0}
