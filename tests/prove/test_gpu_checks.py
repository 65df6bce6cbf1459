"""The checks of GPU hosts: silent on a healthy one (a recorded card), each seen to fail on a broken one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightline.prove.host import check_host
from tests.stand_ins.host import StandInHost
from tests.testinfra.gpu_facts import (
    GpuFacts,
    driver_problem,
    halves_problem,
    holds_problem,
    persistence_problem,
    process_problem,
    toolkit_problem,
)

RECORDING = Path(__file__).resolve().parents[1] / "recordings/nvidia-smi/h100-80gb.xml"
NVCC = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.4, V12.4.131\n"
LEDGER = {"schema": 1, "sets": {"driver": {"held": ["libcuda1", "nvidia-smi"]}, "cuda": {"held": []}}}
ONE_PROCESS = "<processes><process_info><pid>812</pid></process_info>"
INJECTED = "/dev/vda1 /usr/bin/nvidia-smi ext4 ro 0 0\n"


@pytest.fixture
def healthy() -> GpuFacts:
    """The recorded card, with the service's worker (process 812, child of 800) on it."""
    shown = RECORDING.read_text().replace("<processes>", ONE_PROCESS)
    return GpuFacts(
        module="550.54.14",
        smi={"code": 0, "text": shown},
        mounts="/dev/vda1 / ext4 rw 0 0\n",
        ledger=json.dumps(LEDGER),
        held=["libcuda1", "nvidia-smi", "vim"],
        parents={"812": "800", "800": "1", "1": "0", "44": "1"},
        nvcc=NVCC,
    )


def problems(facts: GpuFacts) -> dict[str, str]:
    """What each check says, silent ones left out."""
    said = {
        "driver": driver_problem(facts),
        "halves": halves_problem(facts),
        "persistence": persistence_problem(facts),
        "holds": holds_problem(facts),
        "toolkit": toolkit_problem(facts, "12.4"),
        "process": process_problem(facts, "800"),
    }
    return {name: text for name, text in said.items() if text}


def test_a_healthy_host_has_no_problem(healthy: GpuFacts) -> None:
    assert problems(healthy) == {}


def shows(facts: GpuFacts, old: str, new: str) -> GpuFacts:
    """nvidia-smi shows something else."""
    text = str(facts.smi["text"])
    assert old in text
    return dataclasses.replace(facts, smi={"code": 0, "text": text.replace(old, new)})


def updated_under_way(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, module="550.90.07")


def no_module(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, module="")


def gone_after_a_restart(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, smi={"code": 6, "text": "No devices were found"})


def mismatch(facts: GpuFacts) -> GpuFacts:
    said = "Failed to initialize NVML: Driver/library version mismatch"
    return dataclasses.replace(facts, module="550.90.07", smi={"code": 18, "text": said})


def no_smi(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, smi={"code": None, "text": "[Errno 2] No such file"})


def not_persistent(facts: GpuFacts) -> GpuFacts:
    return shows(facts, "<persistence_mode>Enabled", "<persistence_mode>Disabled")


def let_go(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, held=["vim", "nvidia-smi"])


def another_nvcc(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, nvcc=NVCC.replace("12.4", "13.0"))


def no_nvcc(facts: GpuFacts) -> GpuFacts:
    return dataclasses.replace(facts, nvcc="bash: nvcc: command not found")


def somebody_else_is_there(facts: GpuFacts) -> GpuFacts:
    return shows(facts, "<pid>812", "<pid>44")


def on_the_cpu(facts: GpuFacts) -> GpuFacts:
    return shows(facts, ONE_PROCESS, "<processes>")


BROKEN: dict[Callable[[GpuFacts], GpuFacts], dict[str, str]] = {
    updated_under_way: {"halves": "the kernel module is 550.90.07, NVML says 550.54.14"},
    no_module: {"halves": "the kernel module says nothing, NVML says 550.54.14"},
    gone_after_a_restart: {
        "driver": "nvidia-smi ends with 6: No devices were found",
        "halves": "the kernel module says 550.54.14, NVML says nothing",
    },
    mismatch: {
        "driver": "nvidia-smi ends with 18: Failed to initialize NVML: Driver/library version mismatch",
        "halves": "the kernel module says 550.90.07, NVML says nothing",
    },
    no_smi: {
        "driver": "nvidia-smi ends with None: [Errno 2] No such file",
        "halves": "the kernel module says 550.54.14, NVML says nothing",
    },
    not_persistent: {
        "persistence": "persistence is off on GPU 0: systemctl enable --now nvidia-persistenced"
    },
    let_go: {"holds": "not held: libcuda1"},
    another_nvcc: {"toolkit": "nvcc is 13.0, the release has CUDA 12.4"},
    no_nvcc: {"toolkit": "nvcc is not there, the release has CUDA 12.4"},
    somebody_else_is_there: {"process": "process 800 is on no GPU; there are 44"},
    on_the_cpu: {"process": "process 800 is on no GPU; there is none"},
}


@pytest.mark.parametrize("break_it", BROKEN)
def test_each_fault_is_told_and_nothing_else(
    healthy: GpuFacts, break_it: Callable[[GpuFacts], GpuFacts]
) -> None:
    assert problems(break_it(healthy)) == BROKEN[break_it]


def test_what_is_the_machines_beneath_is_not_the_containers(healthy: GpuFacts) -> None:
    boxed = dataclasses.replace(not_persistent(on_the_cpu(healthy)), mounts=INJECTED, ledger="", nvcc="")
    assert problems(boxed) == {}


# --- run against a host -----------------------------------------------------------------------------------


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[StandInHost]:
    with StandInHost(tmp_path).running() as host:
        yield host


def outcomes(host: StandInHost) -> dict[str, str]:
    """Of the checks in test_gpu.py."""
    return {
        check.name: f"{check.outcome} {check.message}"
        for check in check_host(host.record_path)
        if check.name in GPU_CHECKS
    }


GPU_CHECKS = {
    "test_the_driver_shows_gpus", "test_the_drivers_halves_agree", "test_persistence_is_on",
    "test_packages_are_held", "test_nvcc_is_the_releases", "test_the_gpu_computes_as_the_cpu",
    "test_the_service_is_on_the_gpu",
}  # fmt: skip
FAKE_TORCH = """\
from types import SimpleNamespace as N
float64 = None
def manual_seed(seed): pass
class Number(float):
    def to(self, device): return Number(self + {error} * (device == "cuda"))
    cpu = abs = max = lambda self: Number(self)
    def __matmul__(self, other): return Number(self * other)
    def __sub__(self, other): return Number(float(self) - float(other))
def randn(*size, dtype): return Number(2)
cuda = N(get_device_name=lambda: "a stand-in")
"""


def test_they_are_made_where_the_service_computes_on_a_gpu(standing: StandInHost) -> None:
    assert outcomes(standing) == {}, "not on a host that computes on its CPU"
    standing.write_record(device="cuda")
    assert set(outcomes(standing)) == GPU_CHECKS


def test_a_gpu_that_miscalculates_is_seen(standing: StandInHost) -> None:
    """Stands for PyTorch: numbers instead of matrices, and a GPU that may be off by a little."""
    standing.write_record(device="cuda")
    for error, outcome in ((0.0, "passed "), (1e-3, "failed a stand-in differs by 0.004")):
        (standing.packages / "torch.py").write_text(FAKE_TORCH.format(error=error))
        assert outcomes(standing)["test_the_gpu_computes_as_the_cpu"].startswith(outcome)
    (standing.packages / "torch.py").write_text("raise RuntimeError('no CUDA GPUs are available')\n")
    assert "no CUDA GPUs are available" in outcomes(standing)["test_the_gpu_computes_as_the_cpu"]
