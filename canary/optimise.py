"""Optimisers, schedule and the sharing of gradients between training processes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

LEARNING_RATE = 2e-3


class Optimiser:
    """Muon for matrices and AdamW for all else, one cosine schedule for both, gradients averaged over
    processes.

    Muon: Keller Jordan 2024; its step is scaled to AdamW's (arXiv:2502.16982) so that one rate serves both.
    """

    def __init__(
        self, modules: Iterable[nn.Module], steps: int, rate: float = LEARNING_RATE, warmup: int = 100
    ) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for module in modules:
            for name, parameter in module.named_parameters():
                matrix = (
                    parameter.ndim == 2
                    and "embed" not in name
                    and "head" not in name
                    and "queries" not in name
                )
                (matrices if matrix else others).append(parameter)
        self._parameters = matrices + others
        self._muon = torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        self._adam = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        self._steps, self._rate, self._warmup, self._taken = steps, rate, min(warmup, steps // 10 + 1), 0

    def step(self) -> None:
        """Average the gradients over all processes, clip them to norm 1, take a step and clear them."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if dist.is_initialized() and dist.get_world_size() > 1:
            flat: Any = torch.cat([g.reshape(-1) for g in gradients])
            dist.all_reduce(flat)
            flat /= dist.get_world_size()
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        progress = self._taken / max(1, self._steps)
        factor = min(1.0, (self._taken + 1) / self._warmup) * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
        )
        both: tuple[Any, ...] = (self._muon, self._adam)
        for optimiser in both:
            for group in optimiser.param_groups:
                group["lr"] = self._rate * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._taken += 1


def autocast() -> torch.autocast:
    """bfloat16 products where the processor has them in hardware, else plain float32."""
    onednn: Any = torch.backends.mkldnn
    fast = bool(onednn.is_available()) and "bf16" in _processor_flags()
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast)


def _processor_flags() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return ""


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy in float32; -100 is left out; zero (not NaN) where nothing is asked."""
    total = nn.functional.cross_entropy(logits.float(), target, ignore_index=-100, reduction="sum")
    return total / (target != -100).sum().clamp(min=1)
