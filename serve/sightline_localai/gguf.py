"""The head of a GGUF file: what llama.cpp looks at before it loads anything.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (magic, version, counts, keys).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sightline_start.errors import StartError

VERSIONS = (2, 3)
"""What current llama.cpp reads; it said good-bye to version 1 in 2023."""
_LONGEST = 100_000_000
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_PROJECTOR_KEYS = ("clip.projector_type", "clip.vision.projector_type")


@dataclass(frozen=True)
class Head:
    """`projector` is the type of a vision projector, "" in a language model."""

    architecture: str
    projector: str


def read_head(file: Path) -> Head:
    """Raises StartError for what is no GGUF file, or none that current llama.cpp loads."""
    try:
        with file.open("rb") as content:
            magic = content.read(4)
            if magic != b"GGUF":
                raise StartError(f"{file} is no GGUF file (it begins with {magic!r}). Fetch it again.")
            version, _, count = struct.unpack("<IQQ", content.read(20))
            if version not in VERSIONS:
                raise StartError(f"{file}: GGUF version {version}. llama.cpp reads 2 and 3: convert it anew.")
            facts = dict(_pair(content) for _ in range(count))
    except (struct.error, UnicodeDecodeError, KeyError, EOFError):
        raise StartError(f"{file}: its GGUF header cannot be read. Fetch it again.") from None
    except OSError as problem:
        raise StartError(f"{file} cannot be read: {problem.strerror}.") from None
    projector = next((facts[key] for key in _PROJECTOR_KEYS if facts.get(key)), "")
    return Head(str(facts.get("general.architecture") or ""), str(projector))


def check_pair(model: Path, projector: Path) -> None:
    """Raises StartError unless they are a language model and a projector that llama.cpp takes."""
    for file, is_projector in ((model, False), (projector, True)):
        head = read_head(file)
        if (head.architecture == "clip") != is_projector:
            found, wanted = (
                ("projector", "language model") if not is_projector else ("language model", "projector")
            )
            raise StartError(f"{file} is a {found}, where the {wanted} belongs: mend the model file.")
        if is_projector and not head.projector:
            raise StartError(
                f"{file} lacks clip.projector_type (files of 2023 do): llama.cpp does not load it. "
                "Take a newer conversion: catalogue/models/llava-1.5-7b-second-state.yml."
            )


def _pair(content: BinaryIO) -> tuple[str, Any]:
    return _text(content), _value(content, _number(content, "I"))


def _number(content: BinaryIO, code: str) -> Any:
    return struct.unpack(f"<{code}", content.read(struct.calcsize(code)))[0]


def _text(content: BinaryIO) -> str:
    length = _number(content, "Q")
    data = content.read(length) if length <= _LONGEST else b""
    if len(data) < length:
        raise EOFError
    return data.decode()


def _value(content: BinaryIO, kind: int) -> Any:
    """One value; an array's items are passed over, as only texts are asked for."""
    if kind == _STRING:
        return _text(content)
    if kind != _ARRAY:
        return _number(content, _SCALARS[kind])
    kind, count = _number(content, "I"), _number(content, "Q")
    if kind in _SCALARS:
        content.seek(struct.calcsize(_SCALARS[kind]) * count, 1)
        return None
    for _ in range(count):
        _value(content, kind)
    return None
