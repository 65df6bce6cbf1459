"""The GPU side of a host: cards, driver, kernel modules, packages, CUDA, and PyTorch found there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .driver import read_driver
from .kernel_modules import read_kernel_modules
from .nvidia_smi import read_smi
from .packages import read_packages
from .pci import read_pci
from .reading import Facts
from .surroundings import read_container
from .toolkit import read_toolkit
from .torch_found import read_torch


def read_gpu_host(kernel: str, root: str = "/", prefixes: Iterable[str] = ()) -> Facts:
    """Facts about the GPU side of the host whose files lie under `root`; `kernel` is the running release.

    `prefixes` are Python prefixes to search for PyTorch besides the usual ones. Sizes are bytes.
    """
    base = Path(root)
    gpus, smi, cuda = read_smi(base)
    return {
        "pci": read_pci(base),
        "gpus": gpus,
        "driver": read_driver(base, gpus, smi, cuda),
        "kernel_modules": read_kernel_modules(base, kernel, read_container(base)),
        "packages": read_packages(base),
        "toolkit": read_toolkit(base),
        "torch": read_torch(base, prefixes),
    }
