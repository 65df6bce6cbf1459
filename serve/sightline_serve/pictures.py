"""From bytes that claim to be a picture to an upright RGB picture, or an error that says why not."""

from __future__ import annotations

import base64
import binascii
import re
from io import BytesIO
from urllib.parse import unquote

from PIL import Image, ImageOps, UnidentifiedImageError

from sightline_serve.settings import MIB, Budget

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
# A strip of 1 x 50,000 pixels is small until a processor scales its short side up.
MAX_ASPECT = 100

# Pillow's own guard is a global that warns first and refuses at twice its limit; ours is exact and per
# request.
Image.MAX_IMAGE_PIXELS = None


class PictureError(ValueError):
    """Why a picture cannot be had; reads as the end of the sentence "Picture 2 (...) ..."."""


class Purse:
    """What is left of one request's budget."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.bytes = budget.bytes
        self.pixels = budget.pixels

    def pay_bytes(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise PictureError(
                f"takes the request over its budget of {self.budget.bytes / MIB:g} MiB of picture files."
            )

    def pay_pixels(self, width: int, height: int) -> None:
        self.pixels -= width * height
        if self.pixels < 0:
            limit = self.budget.pixels / 1e6
            raise PictureError(
                f"is {width} x {height} pixels, which takes the request over its budget of "
                f"{limit:g} megapixels; scale it down."
            )


def from_data_url(url: str) -> bytes:
    """The bytes of a `data:image/...;base64,` URL (RFC 2397). Raises PictureError."""
    header, comma, data = url.partition(",")
    if not comma:
        raise PictureError("has a data URL without a comma; it should read data:image/png;base64,<data>.")
    media_type, *parameters = header[len("data:") :].split(";")
    if media_type and not media_type.lower().startswith("image/"):
        raise PictureError(f"has a data URL of type {media_type[:80]!r}, which is no picture.")
    if "base64" not in [parameter.strip().lower() for parameter in parameters]:
        raise PictureError("has a data URL that is not base64; it should read data:image/png;base64,<data>.")
    data = re.sub(r"\s+", "", unquote(data))
    try:
        raw = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise PictureError("has a data URL whose base64 is broken (wrong characters or length).") from None
    if not raw:
        raise PictureError("has a data URL with no data in it.")
    return raw


def decode(raw: bytes, purse: Purse) -> Image.Image:
    """An upright RGB picture: first frame, EXIF orientation applied, transparency laid on white.

    The size is read from the header and paid for before any pixel is decoded. Raises PictureError.
    """
    purse.pay_bytes(len(raw))
    try:
        picture = Image.open(BytesIO(raw), formats=FORMATS)
    except UnidentifiedImageError:
        raise PictureError(
            f"is no picture that this server reads ({_looks_like(raw)}); send {_readable()}."
        ) from None
    except Exception as error:  # a decoder meets a hostile file in ways of its own
        raise PictureError(f"cannot be read: {_reason(error)}.") from None
    width, height = picture.size
    if width < 1 or height < 1 or max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(
            f"is {width} x {height} pixels; no side may be more than {MAX_ASPECT} times the other."
        )
    purse.pay_pixels(width, height)
    try:
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        return _on_white(picture)
    except Exception as error:
        raise PictureError(f"is damaged and cannot be decoded: {_reason(error)}.") from None


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = _to_eight_bits(picture)
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Sixteen-bit grey keeps its upper byte; Pillow's own conversion would clip all above 255."""
    import numpy as np

    return Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))


def _readable() -> str:
    return "PNG, JPEG, WebP, GIF or BMP"


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".")[:200] or type(error).__name__


def _looks_like(raw: bytes) -> str:
    start = raw[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is an HTML page"
    if start.startswith((b"<?xml", b"<svg")):
        return "it is XML or SVG"
    if start.startswith(b"%pdf"):
        return "it is a PDF"
    if start.startswith((b"{", b"[")):
        return "it looks like JSON"
    return f"{len(raw)} bytes of an unknown format"
