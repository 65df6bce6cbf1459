"""How sightline-serve loads the model: its loader, and the code of the model's own that may run for that."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sightline.plan.outcome import Objection
from sightline.plan.reading import Unreadable, read_or_none
from sightline.plan.situation import Situation

ENGINE = "sightline-serve"
ITS_OWN = "transformers"
"""The loader that the server takes if nobody names one."""
RUNS_CODE = ("phi3",)
"""Loaders that run Python code which lies beside the model's weights."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMAND = "LC_ALL=C sha256sum *.py | sha256sum"


def loader_words(there: Situation) -> list[str]:
    """Return the words that tell the server its loader; none for another engine or its own."""
    loader = _loader(there)
    if loader in ("", ITS_OWN):
        return []
    trusted = read_or_none(there.settings, "trust_code", str)
    return ["--loader", loader, *(["--trust-code", trusted] if trusted and loader in RUNS_CODE else [])]


def code_sha256(model: Mapping[str, Any]) -> str | None:
    """Return what `LC_ALL=C sha256sum *.py | sha256sum` says in the model's folder, None if not known.

    It follows from the hashes of the entry's Python files: one line each, sorted by name.
    """
    files = {file["path"]: file["sha256"] for file in model["files"] if file["path"].endswith(".py")}
    if not files or not all(files.values()):
        return None
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def code_is_trusted(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A person named the code that comes with the model and would run; the server checks it again."""
    if _loader(there) not in RUNS_CODE:
        return
    name, known = there.model["name"], code_sha256(there.model)
    given = read_or_none(there.settings, "trust_code", str)
    why = "it would run with the rights of the service"
    of = there.model["source"]
    where = f"the *.py of {of.get('repo', of.get('path'))}" + (
        f" at commit {of['commit']}" if of.get("commit") else ""
    )
    told = f"sightline_trust_code={known}" if known else f"sightline_trust_code to what {_COMMAND} says there"
    if given is None:
        yield Objection(
            f"{name} brings Python code of its own, and nobody said that it may run",
            why,
            f"read {where}; if you trust them, set {told}",
        )
    elif not _SHA256.fullmatch(given):
        yield Objection(
            "sightline_trust_code is no sha256 (64 digits and small letters a to f)",
            f"it names the code of {name} that may run",
            f"read {where}; if you trust them, set {told}",
        )
    elif known and given != known:
        yield Objection(
            f"sightline_trust_code names other code than that of {name}: {given} instead of {known}",
            why + ", and the server would refuse to start",
            f"read {where} again; if you trust them, set {told}",
        )


def _loader(there: Situation) -> str:
    if read_or_none(there.settings, "engine", str) != ENGINE:
        return ""
    try:
        serving = there.serving
    except Unreadable:
        return ""
    return str(serving.get("loader", ITS_OWN)) if serving else ""
