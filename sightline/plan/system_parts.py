"""What an engine needs of the host's own system, because no wheel brings it."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.interpreter import choose_python
from sightline.plan.outcome import Objection
from sightline.plan.reading import Unreadable, read_or_none
from sightline.plan.situation import Situation, computes_on

_VLLM = {"libnuma.so.1": "libnuma1", "g++": "g++", "Python.h": "python3.11-dev"}
_LLAMA = {"libgomp.so.1": "libgomp1"}
_PACKAGES = {("vllm", "cpu"): _VLLM, ("llamacpp", "cpu"): _LLAMA}
"""Part -> Debian's package, of an engine's build."""


def parts_are_there(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Seen on a fresh Debian: without libnuma no start of vLLM succeeds; without a compiler or Python.h it
    starts, /health says 200, and the first request ends it. llama.cpp's wheel does not load without libgomp.
    """
    engine = read_or_none(there.settings, "engine", str) or ""
    packages = _PACKAGES.get((engine, computes_on(there)), {})
    parts = read_or_none(there.facts, "system_parts", dict) or {}
    lacking = [name for name in packages if parts.get(name) is False]
    if "Python.h" in lacking and not _on_its_own_python(there):
        lacking.remove("Python.h")
    if lacking:
        names = " ".join(packages[name] for name in lacking)
        yield Objection(
            f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing on the host",
            f"{engine}'s build for CPUs needs it, and no wheel brings it",
            f"install it, on Debian and Ubuntu: apt-get install {names}",
        )


def _on_its_own_python(there: Situation) -> bool:
    """Whether the environment stands on a Python of the host; one that is fetched brings its headers."""
    try:
        choice = choose_python(there)
    except Unreadable:
        return False
    return choice is not None and choice.source == "found"
