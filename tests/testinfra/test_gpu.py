"""The state of a host whose service computes on GPUs. See test_host.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from sightline.deployment import Deployment
from tests.testinfra import gpu_facts
from tests.testinfra.gpu_facts import GpuFacts
from tests.testinfra.on_host import GPU_SIDE, MATMUL
from tests.testinfra.test_host import service_pid

LARGEST = 1e-9
"""How far sums of 512 products may differ by the order of adding: these numbers have about 16 digits."""


@pytest.fixture(scope="session")
def facts(host: Host, deployment: Deployment) -> GpuFacts:
    asked = host.run("%s -I -c %s", f"{deployment.environment.path}/bin/python", GPU_SIDE)
    assert asked.rc == 0, asked.stderr.strip()[-200:]
    return GpuFacts.read(asked.stdout)


def test_the_driver_shows_gpus(facts: GpuFacts) -> None:
    """The driver shows the GPUs"""
    assert not (problem := gpu_facts.driver_problem(facts)), problem


def test_the_drivers_halves_agree(facts: GpuFacts) -> None:
    """The driver's kernel module and its libraries are of one version"""
    assert not (problem := gpu_facts.halves_problem(facts)), problem


def test_persistence_is_on(facts: GpuFacts) -> None:
    """The GPUs keep their state between programs (persistence)"""
    assert not (problem := gpu_facts.persistence_problem(facts)), problem


def test_packages_are_held(facts: GpuFacts) -> None:
    """Driver and toolkit that Sightline installed are held"""
    assert not (problem := gpu_facts.holds_problem(facts)), problem


def test_nvcc_is_the_releases(facts: GpuFacts, release: dict[str, Any]) -> None:
    """nvcc, where Sightline installed it, is of the release's CUDA"""
    assert not (problem := gpu_facts.toolkit_problem(facts, str(release["cuda"]))), problem


def test_the_gpu_computes_as_the_cpu(host: Host, deployment: Deployment) -> None:
    """A product of matrices on the GPU is that of the CPU"""
    python = f"{deployment.environment.path}/bin/python"
    asked = host.run("%s -I -c %s", python, MATMUL)
    why = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
    assert asked.rc == 0, f"{python} does not compute on the GPU: {why}"
    found = json.loads(asked.stdout)
    assert found["largest difference"] <= LARGEST, f"{found['on']} differs by {found['largest difference']:g}"


def test_the_service_is_on_the_gpu(host: Host, deployment: Deployment, facts: GpuFacts) -> None:
    """The service's process is one of those on the GPU"""
    assert not (problem := gpu_facts.process_problem(facts, service_pid(host, deployment))), problem
