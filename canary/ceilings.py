"""What a device can do at most: bytes read a second, and multiply-adds of large matrices.

A step of decoding reads every weight once and computes little, a prompt's reading computes much with each
weight; so the first ceiling bounds the one and the second the other (the roofline model: Williams, Waterman,
Patterson, Communications of the ACM 52(4), 2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

REPEATS = 20
"""The best of so many counts: what else runs only slows a repeat down."""


@dataclass(frozen=True)
class Ceilings:
    """`bandwidth` in bytes/s, `operations` in floating-point operations/s (a multiply-add is two)."""

    bandwidth: float
    operations: float


def measure(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Takes seconds, and 2 GiB of a GPU's memory (768 MiB of a computer's) that is free afterwards."""
    large = device.type == "cuda"
    found = Ceilings(
        max(_copying(device, 2**30 if large else 2**28), _reading(device, dtype, 16384 if large else 8192)),
        _multiplying(device, dtype, 8192 if large else 1024),
    )
    if large:
        torch.cuda.empty_cache()
    return found


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _copying(device: torch.device, size: int) -> float:
    """Each byte is read once and written once."""
    here, there = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * size / _best(lambda: there.copy_(here), device)


def _reading(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """A matrix by a vector, which is what decoding does."""
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    vector = torch.ones(side, dtype=dtype, device=device)
    return matrix.nbytes / _best(lambda: matrix @ vector, device)


def _multiplying(device: torch.device, dtype: torch.dtype, side: int) -> float:
    one, two = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    return 2 * side**3 / _best(lambda: one @ two, device)


def _best(work: Callable[[], object], device: torch.device) -> float:
    work()
    wait(device)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
