"""Runs a training function in several processes of one thread each, which share gradients over gloo.

Two processes of one thread beat one process of two threads, above all on a busy machine.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _start(
    rank: int, work: Callable[..., None], world: int, meeting: str, arguments: tuple[Any, ...]
) -> None:
    os.nice(5)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()


def in_processes(work: Callable[..., None], world: int, *arguments: Any) -> None:
    """Call `work(*arguments)` in `world` processes and wait; raises when one of them fails."""
    # Tensors of megabytes come and go at every step: without this glibc hands their pages back each time.
    os.environ.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_=str(2**33), MALLOC_TOP_PAD_=str(2**26))
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing: Any = mp
        multiprocessing.spawn(_start, (work, world, os.path.join(folder, "meeting"), arguments), nprocs=world)
