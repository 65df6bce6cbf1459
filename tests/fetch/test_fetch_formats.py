"""Files with the right hash that no loader takes: the entry itself named the wrong ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from fetching import fetch, write_entry
from sightline_fetch.formats import WrongFormat, check_formats

CANARY = Path(__file__).resolve().parents[2] / "canary" / "weights"


def safetensors(tensors: dict[str, tuple[str, list[int], list[int]]], data: bytes) -> bytes:
    head = {name: {"dtype": d, "shape": s, "data_offsets": o} for name, (d, s, o) in tensors.items()}
    told = json.dumps(head).encode()
    return struct.pack("<Q", len(told)) + told + data


def gguf(facts: dict[str, str], version: int = 3, magic: bytes = b"GGUF") -> bytes:
    told = magic + struct.pack("<IQQ", version, 0, len(facts))
    for key, value in facts.items():
        told += (
            struct.pack("<Q", len(key)) + key.encode() + struct.pack("<IQ", 8, len(value)) + value.encode()
        )
    return told


GOOD = safetensors({"a": ("F16", [2, 3], [0, 12]), "b": ("U8", [4], [12, 16])}, bytes(16))


def test_the_canary_is_right() -> None:
    check_formats(
        CANARY, ["model.safetensors", "gguf/canary-f16.gguf", "gguf/mmproj-canary-f16.gguf", "config.json"]
    )


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("m.safetensors", GOOD, None),
        ("m.safetensors", GOOD[:-1], "end at byte"),
        ("m.safetensors", b"<html>not a model</html>", "no safetensors file"),
        ("m.safetensors", b"\x04", "no safetensors file"),
        ("m.safetensors", safetensors({"a": ("F16", [2, 3], [0, 10])}, bytes(10)), "its shape does not"),
        ("m.safetensors", safetensors({"a": ("U8", [4], [4, 8])}, bytes(8)), "begins at byte 4, not 0"),
        ("m.gguf", gguf({"general.architecture": "llama"}), None),
        ("m.gguf", gguf({"general.architecture": "clip", "clip.projector_type": "mlp"}), None),
        ("m.gguf", gguf({"general.architecture": "clip"}), "without clip.projector_type"),
        ("m.gguf", gguf({"general.name": "x"}), "general.architecture"),
        ("m.gguf", gguf({}, version=1), "version 1"),
        ("m.gguf", gguf({}, magic=b"<htm"), "does not begin with GGUF"),
        ("m.gguf", gguf({"general.architecture": "llama"})[:-3], "cannot be read"),
    ],
)
def test_one_file(tmp_path: Path, name: str, data: bytes, said: str | None) -> None:
    (tmp_path / name).write_bytes(data)
    if said is None:
        check_formats(tmp_path, [name])
    else:
        with pytest.raises(WrongFormat, match=said):
            check_formats(tmp_path, [name])


@pytest.mark.parametrize(
    ("placed", "said"),
    [
        ({"a": "m.safetensors", "b": "m.safetensors"}, None),
        ({"a": "other.safetensors"}, "not among the files"),
        ({"c": "m.safetensors"}, "does not have it"),
    ],
)
def test_the_index(tmp_path: Path, placed: dict[str, str], said: str | None) -> None:
    (tmp_path / "m.safetensors").write_bytes(GOOD)
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    paths = ["m.safetensors", "m.safetensors.index.json"]
    if said is None:
        check_formats(tmp_path, paths)
    else:
        with pytest.raises(WrongFormat, match=said):
            check_formats(tmp_path, paths)


def test_the_command_stamps_no_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "m.gguf").write_bytes(b"<!DOCTYPE html>")
    entry = write_entry(tmp_path, {"m.gguf": b"<!DOCTYPE html>"})
    ended = fetch("--entry", entry, "--source", there, "--target", tmp_path / "model")
    assert ended.code == 1
    assert "does not begin with GGUF" in ended.errors
    assert fetch("--entry", entry, "--target", tmp_path / "model", "--check").code == 1
