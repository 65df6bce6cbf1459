"""Pictures for the tests, as files and as URLs."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw


def encoded(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def disc(colour: str = "red", side: int = 224) -> Image.Image:
    picture = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(picture).ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=colour)
    return picture


def data_url(raw: bytes | None = None, kind: str = "image/png") -> str:
    return f"data:{kind};base64," + base64.b64encode(encoded(disc()) if raw is None else raw).decode()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has not one pixel: only its header can be read."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def ask(text: str, *urls: str, **fields: Any) -> dict[str, Any]:
    """A chat request for the test server's model with pictures before the text."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    message = {"role": "user", "content": [*pictures, {"type": "text", "text": text}]}
    return {"model": "test-model", "messages": [message], **fields}
