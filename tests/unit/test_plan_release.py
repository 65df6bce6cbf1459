"""CUDA or CPU, where the person leaves that to the probe: from a host's files to the release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.catalogue import load_model, load_release
from sightline.plan.release import FOR_CPUS, WITH_CUDA, choose_release, releases_of
from tests.unit.gpu_hosts import NOT_LOADED, GpuHost, bare_metal, fresh_metal, rented_box
from tests.unit.test_plan_gpu import box_started_without_gpu, box_without_gpu_and_driver, facts_of, no_card


def broken(path: Path) -> GpuHost:
    host = bare_metal(path)
    host.smi(says=NOT_LOADED, code=9)
    return host


@pytest.mark.parametrize(
    ("make", "release", "why"),
    [
        (bare_metal, WITH_CUDA, "the driver lists 1 GPU"),
        (rented_box, WITH_CUDA, "the driver lists 1 GPU"),
        (fresh_metal, WITH_CUDA, "there is an NVIDIA GPU on the bus"),
        (broken, WITH_CUDA, "there is an NVIDIA GPU on the bus"),
        (box_started_without_gpu, WITH_CUDA, "put into the container"),
        (box_without_gpu_and_driver, FOR_CPUS, "no NVIDIA GPU was found"),
        (no_card, FOR_CPUS, "no NVIDIA GPU was found"),
    ],
)
def test_a_card_decides(tmp_path: Path, make: Callable[[Path], GpuHost], release: str, why: str) -> None:
    chosen, because = choose_release("auto", "auto", facts_of(make(tmp_path)))
    assert (chosen, why in because) == (release, True)
    assert load_release(chosen)["accelerator"] == ("cuda" if release == WITH_CUDA else "cpu")


def test_whoever_names_one_gets_it(tmp_path: Path) -> None:
    facts = facts_of(bare_metal(tmp_path))
    assert choose_release("cpu", "auto", facts) == ("cpu", "")
    assert choose_release("auto", "cpu", facts)[0] == FOR_CPUS


def test_an_engine_without_pytorch_has_a_release_of_its_own(tmp_path: Path) -> None:
    chosen, why = choose_release("auto", "auto", facts_of(bare_metal(tmp_path)), "llamacpp")
    assert [item["engine"] for item in load_release(chosen)["engines"]] == ["llamacpp"]
    assert "whatever GPU" in why


def test_vllm_has_releases_of_its_own(tmp_path: Path) -> None:
    facts = facts_of(bare_metal(tmp_path))
    assert choose_release("auto", "auto", facts, "vllm")[0] == "vllm-cu130"
    assert choose_release("auto", "cpu", facts, "vllm")[0] == "vllm-cpu"
    assert choose_release("auto", "auto", {}, "vllm")[0] == "vllm-cpu"
    for name, accelerator in (("vllm-cu130", "cuda"), ("vllm-cpu", "cpu")):
        assert load_release(name)["accelerator"] == accelerator


@pytest.mark.parametrize(
    ("model", "device", "release"),
    [
        ("phi-3-vision-128k", "auto", "phi3-cu124"),
        ("phi-3-vision-128k", "cpu", "phi3-cpu"),
        ("llama-3.2-90b-vision-bnb-4bit", "auto", WITH_CUDA),
        # Nothing serves it without a GPU: the usual one says so in its refusal.
        ("llama-3.2-90b-vision-bnb-4bit", "cpu", FOR_CPUS),
        ("canary", "auto", WITH_CUDA),
        ("canary", "cpu", FOR_CPUS),
    ],
)
def test_a_model_that_the_usual_one_cannot_serve_has_its_own(
    tmp_path: Path, model: str, device: str, release: str
) -> None:
    served_by = releases_of(load_model(model), "sightline-serve")
    chosen, why = choose_release("auto", device, facts_of(bare_metal(tmp_path)), "sightline-serve", served_by)
    assert chosen == release
    assert ("does not serve this model" in why) is release.startswith("phi3")


def test_without_facts_nothing_is_assumed() -> None:
    assert choose_release("auto", "auto", {})[0] == FOR_CPUS
    assert choose_release("auto", "auto", {"gpus": "?", "pci": None, "driver": 1})[0] == FOR_CPUS
