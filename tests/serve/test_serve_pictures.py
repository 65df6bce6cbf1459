"""Picture intake: what decodes, to what; what is refused, why, and before what work."""

from __future__ import annotations

import base64
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sightline_serve import pictures
from sightline_serve.pictures import PictureError, Purse, decode, from_data_url
from sightline_serve.settings import Budget

from tests.serve.drawing import data_url, disc, encoded, png_header


def purse(**limits: int) -> Purse:
    return Purse(Budget(**limits))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_format_arrives_upright_and_rgb(form: str) -> None:
    picture = decode(encoded(disc("red"), form), purse())
    assert picture.mode == "RGB"
    assert picture.size == (224, 224)
    red, green, blue = picture.getpixel((112, 112))
    assert red > 200
    assert green < 60
    assert blue < 60


def test_exif_orientation_is_applied() -> None:
    wide = Image.new("RGB", (60, 20), "white")
    wide.paste("red", (0, 0, 20, 20))  # red at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate a quarter turn clockwise to view": left goes to the top
    picture = decode(encoded(wide, "PNG", exif=exif), purse())
    assert picture.size == (20, 60)
    assert picture.getpixel((10, 10)) == (255, 0, 0)
    assert picture.getpixel((10, 50)) == (255, 255, 255)


def test_an_animation_is_its_first_frame() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    raw = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(raw, purse()).getpixel((5, 5)) == (255, 0, 0)


def test_a_phones_two_picture_jpeg_is_its_first() -> None:
    raw = encoded(disc("red"), "MPO", save_all=True, append_images=[disc("blue")])
    red, _, blue = decode(raw, purse()).getpixel((112, 112))
    assert red > 200 > blue


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode: str) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 8, 16))
    raw = encoded(clear.quantize() if mode == "P" else clear.convert(mode))
    picture = decode(raw, purse())
    assert picture.getpixel((12, 8)) == (255, 255, 255)
    assert picture.getpixel((2, 8)) == (0, 0, 0)


def test_half_transparent_red_is_pink() -> None:
    picture = decode(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 128))), purse())
    assert picture.getpixel((4, 4)) == (255, 127, 127)


def test_sixteen_bit_grey_keeps_its_greys() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    picture = decode(encoded(Image.fromarray(ramp)), purse())
    assert np.abs(np.asarray(picture)[..., 0].astype(int) - (ramp >> 8)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    raw = encoded(disc("red").convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    assert decode(raw, purse()).mode == "RGB"


@pytest.mark.parametrize(("width", "height"), [(13000, 13000), (60000, 60000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    tracemalloc.start()
    with pytest.raises(PictureError, match=rf"{width} x {height} pixels.*budget of 50 megapixels"):
        decode(png_header(width, height), purse())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_real_13000_square_png_is_refused() -> None:
    raw = encoded(Image.new("1", (13000, 13000)))
    assert len(raw) < 2**20
    with pytest.raises(PictureError, match="13000 x 13000"):
        decode(raw, purse())


def test_the_pixel_budget_is_for_all_pictures_together() -> None:
    shared = purse(pixels=2 * 224 * 224)
    decode(encoded(disc()), shared)
    decode(encoded(disc()), shared)
    with pytest.raises(PictureError, match="over its budget"):
        decode(encoded(disc(side=16)), shared)


def test_the_byte_budget_is_for_all_pictures_together() -> None:
    raw = encoded(disc())
    shared = purse(bytes=len(raw) + 10)
    decode(raw, shared)
    with pytest.raises(PictureError, match="MiB of picture files"):
        decode(raw, shared)


def test_a_long_strip_is_refused() -> None:
    with pytest.raises(PictureError, match="no side may be more than 100 times the other"):
        decode(encoded(Image.new("RGB", (3000, 2))), purse())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_truncated_file_is_refused(form: str) -> None:
    raw = encoded(Image.effect_noise((200, 200), 50).convert("RGB"), form)
    with pytest.raises(PictureError, match=r"damaged|cannot be read|no picture"):
        decode(raw[: len(raw) // 2], purse())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"<!DOCTYPE html><html>no</html>", "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "XML or SVG"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b'{"error": 1}', "JSON"),
        (b"hello", "5 bytes of an unknown format"),
        (encoded(disc(), "TIFF"), "unknown format"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(raw: bytes, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        decode(raw, purse())


def test_a_data_url_gives_its_bytes_back_with_and_without_padding_and_line_breaks() -> None:
    raw = encoded(disc())
    url = data_url(raw)
    wrapped = "\n".join(url[at : at + 76] for at in range(0, len(url), 76))
    quoted = url.replace("+", "%2B").replace("=", "%3D")
    for form in (url, url.rstrip("="), wrapped, quoted, "DATA" + url[4:]):
        assert from_data_url(form) == raw


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:image/png;base64", "without a comma"),
        ("data:image/png;base64,", "no data"),
        ("data:image/png;base64,!!!!", "broken"),
        ("data:image/png;base64,AAAAA", "broken"),
        ("data:image/png;base64,AB=CD", "broken"),
        ("data:image/png;base64,_-_-", "broken"),
        ("data:image/png,%89PNG", "not base64"),
        ("data:text/html;base64,AAAA", "no picture"),
    ],
)
def test_a_bad_data_url_says_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        from_data_url(url)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 40), st.sampled_from(["", " ", "\n"]))
def test_a_data_url_round_trips_in_pieces_of_any_size(raw: bytes, piece: int, space: str) -> None:
    url = "data:image/png;base64," + space.join(base64.b64encode(raw).decode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "PIECE", piece)
        assert from_data_url(url) == raw


@pytest.mark.parametrize("data", ["AAA=AAAA", "AA==AA==", "A", "AAA= A"])
@pytest.mark.parametrize("piece", [1, 4, 5, 2**20])
def test_base64_with_padding_in_the_wrong_place_is_refused(
    monkeypatch: pytest.MonkeyPatch, data: str, piece: int
) -> None:
    monkeypatch.setattr(pictures, "PIECE", piece)
    with pytest.raises(PictureError, match="base64 is broken"):
        from_data_url(f"data:image/png;base64,{data}")


SAMPLES = [encoded(disc(side=24), form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_files_decode_or_are_refused_and_nothing_else(sample: bytes, data: st.DataObject) -> None:
    raw = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = decode(bytes(raw), purse(pixels=1_000_000))
    except PictureError:
        return
    assert picture.mode == "RGB"
    assert picture.width * picture.height <= 1_000_000
