"""From bytes that claim to be a picture to an upright RGB picture, or an error that says why not."""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from urllib.parse import unquote

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from sightline_serve import apart
from sightline_serve.canvas import MAX_SIDE, upright_on_white
from sightline_serve.settings import MIB, Budget

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
PIECE = 2**20  # characters of base64
# A strip of 1 x 50,000 pixels is small until a processor scales its short side up.
MAX_ASPECT = 100

# Pictures that cost more pixels than this are decoded apart. WebP's decoder keeps Python's lock, about 10 ms
# a megapixel.
LARGE = 16_000_000
LARGE_WEBP = 2_000_000

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

    def pay_pixels(self, width: int, height: int, price: int) -> None:
        """`price` pixels for a picture of that size."""
        self.pixels -= price
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
    try:
        raw = _base64(unquote(data) if "%" in data else data)
    except (binascii.Error, ValueError):
        raise PictureError("has a data URL whose base64 is broken (wrong characters or length).") from None
    if not raw:
        raise PictureError("has a data URL with no data in it.")
    return raw


def _base64(data: str) -> bytes:
    """Piece by piece: over megabytes at once, every other thread would stand still."""
    raw, rest = bytearray(), ""
    for at in range(0, len(data), PIECE):
        piece = "".join(data[at : at + PIECE].split())
        if piece.strip("=") and "=" in rest:
            raise ValueError("more after the padding")
        rest += piece
        if "=" not in rest:
            whole = len(rest) // 4 * 4
            raw += base64.b64decode(rest[:whole], validate=True)
            rest = rest[whole:]
    return bytes(raw + base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True))


def decode(raw: bytes, purse: Purse) -> Image.Image:
    """An upright RGB picture: first frame, EXIF orientation applied, transparency on white, scaled to
    canvas.MAX_SIDE.

    The size is read from the header and paid for before any pixel is decoded. Raises PictureError, and
    MemoryError, which says nothing about the picture.
    """
    purse.pay_bytes(len(raw))
    picture = opened(raw)
    width, height = picture.size
    if width < 1 or height < 1 or max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(
            f"is {width} x {height} pixels; no side may be more than {MAX_ASPECT} times the other."
        )
    price = _price(picture)
    purse.pay_pixels(width, height, price)
    if not _large(picture, price):
        return decoded(picture)
    del picture  # with what its decoder holds
    try:
        return apart.decode(raw)
    except apart.Undecodable as error:
        raise PictureError(str(error)) from None


def is_large(raw: bytes) -> bool:
    """Whether decoding it takes long, or would stop others, and is done in a process of its own."""
    try:
        picture = opened(raw)
        return _large(picture, _price(picture))
    except PictureError:
        return False


def _large(picture: Image.Image, price: int) -> bool:
    return price > (LARGE_WEBP if picture.format == "WEBP" else LARGE)


def opened(raw: bytes) -> Image.Image:
    """The picture with its header read and not a pixel. Raises PictureError."""
    try:
        return Image.open(BytesIO(raw), formats=FORMATS)
    except UnidentifiedImageError:
        raise PictureError(
            f"is no picture that this server reads ({_looks_like(raw)}); send {_readable()}."
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # a decoder meets a hostile file in ways of its own
        raise PictureError(f"cannot be read: {_reason(error)}.") from None


def decoded(picture: Image.Image) -> Image.Image:
    """Its pixels, as `decode` gives them. Raises PictureError."""
    try:
        _price(picture)  # tells a large JPEG to decode to a part of its size
        picture.load()
        return upright_on_white(picture)
    except MemoryError:
        raise
    except Exception as error:
        raise PictureError(f"is damaged and cannot be decoded: {_reason(error)}.") from None


def _price(picture: Image.Image) -> int:
    """Pixels to pay for: those that are decoded. A large JPEG is told here to decode to a part of its size.

    A progressive one keeps all its coefficients in memory whatever it is scaled to, and pays in full.
    """
    width, height = picture.size
    if isinstance(picture, JpegImageFile) and "progressive" not in picture.info:
        least = MAX_SIDE // 2 / max(width, height)
        picture.draft(None, (max(1, int(width * least)), max(1, int(height * least))))
        # Its bits are read all the same.
        return max(picture.width * picture.height, width * height // 8)
    return width * height


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
