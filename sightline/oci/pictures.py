"""Pictures as the service takes them: a PNG or a JPEG of at most 5 MB, as a data URL."""

from __future__ import annotations

import base64
import unicodedata
from pathlib import Path

from sightline.oci import MOST_PICTURE_BYTES
from sightline.oci.errors import OciTrouble

_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


def data_url(file: Path) -> str:
    """The picture in `file` as a data URL. Raises OciTrouble when the service would not take it."""
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= MOST_PICTURE_BYTES else b""
    except OSError as problem:
        raise OciTrouble(f"the picture {file} cannot be read: {problem.strerror}", "check its name") from None
    if size > MOST_PICTURE_BYTES:
        raise OciTrouble(
            f"the picture {file} has {size:,} bytes, and {MOST_PICTURE_BYTES:,} is the most",
            "make it smaller, or a JPEG of it",
        )
    kind = next((name for start, name in _KINDS.items() if content.startswith(start)), None)
    if kind is None:
        raise OciTrouble(f"{file} is neither PNG nor JPEG", "convert it: the service takes no other kind")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def is_latin(text: str) -> bool:
    """Whether all letters are Latin ones. Others are certainly not English; Latin ones may be."""
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in text if letter.isalpha())
