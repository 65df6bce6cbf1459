"""torchvision beside a torch that its compiled operators do not fit: what scales and pads works."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

SHAPES = "torchvision._meta_registrations"


def import_torchvision() -> bool:
    """Whether torchvision is there and imported, if need be without its compiled operators.

    Its wheels are linked with CUDA, so beside torch's CPU build no operator is there, and the shapes that it
    registers for two of them end the import (met with 0.28.0). Another failure is raised as it is.
    """
    if find_spec("torchvision") is None:
        return False
    try:
        import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules[SHAPES] = ModuleType(SHAPES)
        import_module("torchvision")
    return True
