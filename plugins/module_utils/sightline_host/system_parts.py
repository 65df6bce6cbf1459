"""What some engines need of the system, because no wheel brings it."""

from __future__ import annotations

import ctypes
import os
import shutil
import sysconfig
from collections.abc import Iterable

from .reading import Facts

LIBRARIES = ("libnuma.so.1", "libgomp.so.1")
"""vLLM's build for CPUs is linked with the one, llama.cpp's with the other; a fresh Debian has neither."""
PROGRAMS = ("g++",)
"""vLLM's build for CPUs compiles when the first request comes, also with --enforce-eager."""


HEADER = "Python.h"
"""And what it compiles includes it: of the Python that this runs in, mostly the one that it builds on."""


def read_system_parts(libraries: Iterable[str] = LIBRARIES, programs: Iterable[str] = PROGRAMS) -> Facts:
    """Whether each is there, by name: a library that can be loaded, a program on the path."""
    found: Facts = {name: _loads(name) for name in libraries}
    found[HEADER] = os.path.isfile(os.path.join(sysconfig.get_paths()["include"], HEADER))
    return {**found, **{name: shutil.which(name) is not None for name in programs}}


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
