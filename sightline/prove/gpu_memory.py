"""What the GPUs really hold after the questions, beside what was estimated for them.

An engine's allocator keeps what it once took, so what is in use right after the questions is about the most
that they took. It changes no verdict: it is there so that estimates can be held against it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from sightline.catalogue import CatalogueError, load_model
from sightline.deployment import Connection, Deployment, DeploymentError, load
from sightline.fit import CannotEstimate, Estimate, Workload, choose_engine, estimate

from .on_host import said

QUESTIONS: Final = Workload(context=2048, slots=4, pictures=2, width=448, height=448)
"""What the sight check asks of a server at most: four conversations at once, two pictures in each."""

_ASK: Final = (
    "PATH=$PATH:/usr/bin:/usr/local/bin:/usr/local/nvidia/bin:/usr/lib/wsl/lib:/opt/bin exec nvidia-smi -q -x"
)
_END: Final = "</nvidia_smi_log>"
_MIB: Final = 2**20


@dataclass(frozen=True)
class GpuMemory:
    """Bytes in use on all GPUs of the host, by whatever program; the estimate is None where there is none."""

    used_bytes: int
    total_bytes: int
    estimated_bytes: int | None
    certain_bytes: int | None


def gpu_memory(record: Path | None) -> GpuMemory | None:
    """Read it on the host of a deployment record; None for a CPU, or where nobody says. Raises nothing."""
    if record is None:
        return None
    try:
        deployment = load(record)
    except DeploymentError:
        return None
    if deployment.device != "cuda":
        return None
    read = _used(deployment.connection)
    if read is None:
        return None
    expected = _expected(deployment)
    return GpuMemory(
        used_bytes=read[0],
        total_bytes=read[1],
        estimated_bytes=expected.total if expected else None,
        certain_bytes=expected.certain if expected else None,
    )


def _used(connection: Connection) -> tuple[int, int] | None:
    """Bytes in use and in all, over all GPUs that nvidia-smi lists."""
    try:
        text, end, _ = (said(connection, _ASK) or "").partition(_END)
        log = ElementTree.fromstring(text + end)
    except ElementTree.ParseError:
        return None
    sums = [
        [_mib(gpu.findtext(f"fb_memory_usage/{name}")) for gpu in log.iter("gpu")]
        for name in ("used", "total")
    ]
    if not sums[0] or any(size is None for sizes in sums for size in sizes):
        return None
    used, total = (sum(size or 0 for size in sizes) for sizes in sums)
    return used, total


def _expected(deployment: Deployment) -> Estimate | None:
    """The estimate for the sight check's own questions."""
    try:
        model = load_model(deployment.model)
        engine, _ = choose_engine(model, deployment.engine)
        first = estimate(model, engine, QUESTIONS)
        context = min(max(QUESTIONS.context, first.context_needed), first.max_context)
        return estimate(model, engine, replace(QUESTIONS, context=context))
    except (CatalogueError, CannotEstimate):
        return None


def _mib(told: str | None) -> int | None:
    number, _, unit = (told or "").strip().partition(" ")
    return int(number) * _MIB if number.isdigit() and unit == "MiB" else None
