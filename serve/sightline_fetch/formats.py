"""Whether a model's files are what a loader takes, beyond the right bytes: safetensors and GGUF, heads only.

Formats: https://github.com/huggingface/safetensors (8 bytes of length, a JSON header, tensors without gaps)
and https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

_LONGEST_HEADER = 100_000_000
"""Bytes; the safetensors library's own bound."""
_WIDTHS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16,
    "I16": 16, "U16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
}  # fmt: skip
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class WrongFormat(Exception):
    """A file, or how two of them fit; says which and what."""


def check_formats(folder: Path, paths: list[str]) -> None:
    """Check each safetensors, index and GGUF file among `paths`. Raises WrongFormat, OSError."""
    heads = {path: _safetensors(folder / path) for path in paths if path.endswith(".safetensors")}
    for path in paths:
        if path.endswith(".safetensors.index.json"):
            _index(folder / path, path, heads)
        elif path.endswith(".gguf"):
            _gguf(folder / path)


def _safetensors(file: Path) -> set[str]:
    """The names of its tensors."""
    size = file.stat().st_size
    with file.open("rb") as content:
        start = content.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(_LONGEST_HEADER, size - 8):
            raise WrongFormat(f"{file.name} is no safetensors file: its header would be {length:,} bytes")
        try:
            head: dict[str, Any] = json.loads(content.read(length))
            tensors = [(name, told) for name, told in head.items() if name != "__metadata__"]
            spans = sorted((*told["data_offsets"], name, told) for name, told in tensors)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise WrongFormat(f"{file.name} is no safetensors file: its header cannot be read") from problem
    reached = 0
    for first, end, name, told in spans:
        if first != reached or end < first:
            raise WrongFormat(f"{file.name}: tensor {name} begins at byte {first:,}, not {reached:,}")
        width = _WIDTHS.get(told.get("dtype"))  # an unknown type is a newer one: its size is not checked
        if width and math.prod(told["shape"]) * width != (end - first) * 8:
            raise WrongFormat(
                f"{file.name}: tensor {name} has {end - first:,} bytes, which its shape does not"
            )
        reached = end
    if 8 + length + reached != size:
        raise WrongFormat(f"{file.name}: its tensors end at byte {8 + length + reached:,} of {size:,}")
    return {name for name, _ in tensors}


def _index(file: Path, path: str, heads: dict[str, set[str]]) -> None:
    try:
        placed: dict[str, str] = json.loads(file.read_bytes())["weight_map"]
        items = sorted(placed.items())
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise WrongFormat(f"{path} is no index: it has no weight_map") from problem
    folder = path.rpartition("/")[0]
    for tensor, shard in items:
        where = f"{folder}/{shard}" if folder else shard
        if where not in heads:
            raise WrongFormat(f"{path} places {tensor} in {where}, which is not among the files")
        if tensor not in heads[where]:
            raise WrongFormat(f"{path} places {tensor} in {where}, which does not have it")


def _gguf(file: Path) -> None:
    with file.open("rb") as content:
        if content.read(4) != b"GGUF":
            raise WrongFormat(f"{file.name} is no GGUF file: it does not begin with GGUF (a web page?)")
        try:
            version, _, count = struct.unpack("<IQQ", content.read(20))
            if version not in (2, 3):
                raise WrongFormat(f"{file.name}: GGUF version {version}, which no current engine reads")
            facts: dict[str, Any] = {}
            for _ in range(count):
                key = _string(content)
                facts[key] = _value(content, _number(content, "I"))
        except (struct.error, UnicodeDecodeError, KeyError, EOFError) as problem:
            raise WrongFormat(f"{file.name}: its GGUF header cannot be read") from problem
    if not facts.get("general.architecture"):
        raise WrongFormat(f"{file.name} does not name its general.architecture")
    if facts["general.architecture"] == "clip" and not any(
        key in facts
        for key in ("clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type")
    ):
        # llama.cpp refuses such a projector since it takes the type from this key (files of 2023 lack it).
        raise WrongFormat(f"{file.name} is a projector without clip.projector_type: take a newer conversion")


def _number(content: BinaryIO, code: str) -> Any:
    return struct.unpack(f"<{code}", content.read(struct.calcsize(code)))[0]


def _string(content: BinaryIO) -> str:
    length = _number(content, "Q")
    if length > _LONGEST_HEADER:
        raise EOFError
    data = content.read(length)
    if len(data) < length:
        raise EOFError
    return data.decode()


def _value(content: BinaryIO, kind: int) -> Any:
    """One value; an array's items are passed over, as only keys and texts are asked for."""
    if kind == _STRING:
        return _string(content)
    if kind != _ARRAY:
        return _number(content, _SCALARS[kind])
    kind, count = _number(content, "I"), _number(content, "Q")
    if kind in _SCALARS:
        content.seek(struct.calcsize(_SCALARS[kind]) * count, 1)
        return None
    for _ in range(count):
        _value(content, kind)
    return None
