"""Memory and time that nobody here has a use for; docs/measured.md says what they come to."""

from __future__ import annotations

import ctypes
import gc
import linecache
import sys
from contextlib import suppress

M_ARENA_MAX = -8  # malloc.h


def before_imports() -> None:
    """Before threads and libraries: one heap for all threads, and httpx without its command line.

    By default every thread gets a heap of its own, and what it leaves there serves no other one. httpx brings
    a command line (rich, pygments), if it can be imported.
    """
    with suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # "cannot be had"


def when_ready() -> None:
    """What the start leaves behind: source lines that were looked up, free pages of the heap.

    The hundred thousands of objects of the libraries stay for good: no need to search them for garbage.
    """
    linecache.clearcache()
    gc.freeze()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
