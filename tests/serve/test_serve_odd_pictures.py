"""Pictures that are large, odd or hostile: taken at a bounded cost, or refused."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from sightline_serve import apart, canvas, pictures
from sightline_serve.chat import Conversation, PictureRef
from sightline_serve.errors import ApiError
from sightline_serve.intake import Intake
from sightline_serve.metrics import Metrics
from sightline_serve.pictures import PictureError, Purse, decode
from sightline_serve.settings import Budget, Settings

from tests.serve.bombs import bomb
from tests.serve.drawing import data_url, disc, encoded
from tests.serve.server_process import environment


def purse(**limits: int) -> Purse:
    return Purse(Budget(**limits))


def two_halves(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red to the left, blue to the right."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("blue", (width // 2, 0, width, height))
    return picture.convert(mode)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_long_side_is_divided_by_the_least_whole_number(form: str) -> None:
    # ceil(9000 / 4096) = 3
    picture = decode(encoded(two_halves(9000, 300), form), purse())
    assert picture.size in ((3000, 100), (2250, 75))  # a JPEG is scaled by a power of two while it is decoded
    assert (form == "JPEG") == (picture.width == 2250)
    red, blue = picture.getpixel((100, 50)), picture.getpixel((picture.width - 100, 50))
    assert red[0] > 200 > red[2]
    assert blue[2] > 200 > blue[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_strips_give_what_the_whole_gives(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.effect_noise((301, 203), 80)
    if mode == "I;16":
        source = Image.fromarray(np.asarray(noise).astype(np.uint16) * 257)
    else:
        source = noise.convert("RGBA").convert(mode) if mode != "P" else noise.convert("RGB").quantize(16)
    raw = encoded(source)
    whole = decode(raw, purse())
    monkeypatch.setattr(canvas, "STRIP_PIXELS", 1000)
    assert np.array_equal(np.asarray(decode(raw, purse())), np.asarray(whole))
    monkeypatch.setattr(canvas, "MAX_SIDE", 101)  # ceil(301 / 101) = 3
    small = decode(raw, purse())
    assert small.size == (101, 68)
    assert np.array_equal(np.asarray(small), np.asarray(whole.reduce(3)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone_as_pillow_does(orientation: int) -> None:
    source = Image.effect_noise((40, 20), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = encoded(source, "PNG", exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(BytesIO(raw)))
    assert np.array_equal(np.asarray(decode(raw, purse())), np.asarray(wanted))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_changes_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encoded(disc(), "PNG", exif=exif), purse()).size == (224, 224)


def test_a_large_jpeg_pays_for_what_is_decoded() -> None:
    raw = bomb("JPEG")
    spent = purse()
    picture = decode(raw, spent)
    assert picture.size == (3250, 3250)  # a quarter of 13000: the least part that leaves 2048
    # An eighth of its own pixels, 21.1 of 169 million, which is more than the 10.6 that are decoded.
    assert Budget().pixels - spent.pixels == 13000 * 13000 // 8


@pytest.mark.parametrize("kind", ["PNG, one bit", "PNG, RGB", "GIF", "JPEG, progressive", "WebP"])
def test_what_is_decoded_in_full_pays_in_full(kind: str) -> None:
    with pytest.raises(PictureError, match=r"13000 x 13000 pixels.*over its budget of 50 megapixels"):
        decode(bomb(kind), purse())


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame_in_every_format(form: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    raw = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    red, _, blue = decode(raw, purse()).getpixel((5, 5))
    assert red > 200 > blue


def test_an_inverted_cmyk_jpeg_keeps_its_colours() -> None:
    red, green, blue = decode(encoded(disc("red").convert("CMYK"), "JPEG"), purse()).getpixel((112, 112))
    assert red > 180
    assert max(green, blue) < 80


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_palette_of_few_colours(bits: int) -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([255, 255, 255, 0, 0, 255])
    assert decode(encoded(picture, "PNG", bits=bits), purse()).getpixel((3, 3)) == (0, 0, 255)


def test_a_polyglot_is_the_picture_that_it_begins_with() -> None:
    """A picture with a web page, an archive or another picture behind it."""
    for tail in (b"<script>alert(1)</script>", b"PK\x03\x04" + b"\0" * 99, encoded(disc("blue"))):
        assert decode(encoded(disc("red")) + tail, purse()).getpixel((112, 112)) == (255, 0, 0)


def test_a_page_that_hides_a_picture_is_no_picture() -> None:
    with pytest.raises(PictureError, match="an HTML page"):
        decode(b"<html><!-- " + encoded(disc()) + b" -->", purse())


def zero_sized() -> list[tuple[str, bytes]]:
    gif = bytearray(encoded(disc(), "GIF"))
    gif[6:10] = struct.pack("<HH", 0, 0)
    bmp = bytearray(encoded(disc(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 0, 224)
    png = bytearray(encoded(disc()))
    png[16:24] = struct.pack(">II", 0, 224)
    jpeg = bytearray(encoded(disc(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 0, 0)
    empty = BytesIO()
    Image.new("RGB", (1, 1)).save(empty, "WEBP")
    return [
        ("PNG", bytes(png)),
        ("JPEG", bytes(jpeg)),
        ("BMP", bytes(bmp)),
        ("nothing", b""),
        ("GIF", bytes(gif)),
    ]


@pytest.mark.parametrize(
    ("form", "raw"), zero_sized(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_picture_without_size_is_refused_or_what_it_holds(form: str, raw: bytes) -> None:
    """A GIF's screen may say nothing: its frame has a size of its own."""
    try:
        picture = decode(raw, purse())
    except PictureError:
        return
    assert (form, picture.size) == ("GIF", (224, 224))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_truncation_is_refused_or_a_picture_of_the_right_size(form: str) -> None:
    raw = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), form)
    refused = 0
    for end in range(0, len(raw), max(1, len(raw) // 60)):
        try:
            size = decode(raw[:end], purse()).size
        except PictureError:
            refused += 1
        else:
            assert size == (64, 64)
    assert refused > 30


def test_no_memory_is_not_the_pictures_fault() -> None:
    """In a process of its own that may have 50 MiB more of address space; 3900 x 3900 x 4 bytes are 58."""
    program = """
import resource, sys
from sightline_serve.pictures import PictureError, Purse, decode
from sightline_serve.settings import Budget
raw = sys.stdin.buffer.read()
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50 * 2**20,) * 2)
try:
    decode(raw, Purse(Budget()))
except MemoryError:
    print("no memory")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], input=bomb("PNG, RGB", 3900), capture_output=True, env=environment(),
        check=True,
    )  # fmt: skip
    assert done.stdout.decode().strip() == "no memory", done.stderr.decode()


@pytest.mark.parametrize("kind", ["PNG, RGB", "WebP", "JPEG, progressive"])
def test_a_large_picture_is_decoded_apart_and_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bomb(kind, 5000)
    began = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **more: began.append(1) or run(*args, **more))
    picture = decode(raw, purse())
    assert began == [1]
    here = pictures.decoded(pictures.opened(raw))
    assert picture.size == (2500, 2500)
    assert np.array_equal(np.asarray(picture), np.asarray(here))


def test_large_pictures_hold_up_nobody_but_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large, small = threading.Event(), threading.Event()

    def slow(raw: bytes) -> Image.Image:
        large.set()
        assert small.wait(30)
        return disc()

    monkeypatch.setattr(apart, "decode", slow)

    def conversation(raw: bytes) -> Conversation:
        return Conversation([], [PictureRef(1, "messages[0].content[0]", data_url(raw))])

    async def take() -> list[str]:
        ended: list[str] = []
        intake = Intake(Settings(model=tmp_path, served_model_name="m", intake_workers=1), Metrics())

        async def one(name: str, raw: bytes) -> None:
            await intake.take(conversation(raw), lambda *_: None)
            ended.append(name)
            small.set()

        held = [asyncio.create_task(one("large", bomb("PNG, RGB", 5000))) for _ in range(3)]
        await asyncio.to_thread(large.wait, 30)
        await one("small", encoded(disc()))
        await asyncio.gather(*held)
        await intake.close()
        return ended

    assert asyncio.run(take()) == ["small", "large", "large", "large"]


def test_an_ordinary_picture_is_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "decode", None)
    for form in ("PNG", "JPEG", "WEBP", "GIF"):
        assert decode(encoded(disc(side=1400), form), purse()).size == (1400, 1400)


def test_a_large_damaged_picture_says_so_from_there_too() -> None:
    raw = encoded(Image.effect_noise((4200, 4200), 50))
    with pytest.raises(PictureError, match="is damaged and cannot be decoded"):
        decode(raw[: len(raw) // 2], purse())


def test_a_decoder_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 0.001)
    with pytest.raises(PictureError, match=r"took longer than 0.001 s"):
        decode(bomb("PNG, RGB", 5000), purse())


@pytest.mark.parametrize(
    ("program", "raises"),
    [
        ("import os; os.kill(os.getpid(), 9)", MemoryError),
        ("import os; os.kill(os.getpid(), 11)", PictureError),
    ],
)
def test_a_decoder_that_dies_takes_nobody_with_it(
    program: str, raises: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the interpreter that runs the decoder: killed for its memory, and crashed."""
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(raises):
        decode(bomb("PNG, RGB", 5000), purse())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), 503),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 503),
        (RuntimeError("anything else"), None),
    ],
)
@pytest.mark.parametrize("where", ["decode", "then"])
def test_a_worker_without_memory_is_a_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int | None, where: str
) -> None:
    def fail(*_: object) -> object:
        raise error

    if where == "decode":
        monkeypatch.setattr("sightline_serve.pictures.decode", fail)
    url = data_url(encoded(disc()))
    conversation = Conversation([], [PictureRef(1, "messages[0].content[0]", url)])

    async def take() -> None:
        intake = Intake(Settings(model=tmp_path, served_model_name="m"), Metrics())
        try:
            await intake.take(conversation, fail if where == "then" else lambda *_: None)
        finally:
            await intake.close()

    with pytest.raises(ApiError if status else RuntimeError) as caught:
        asyncio.run(take())
    if status:
        assert isinstance(caught.value, ApiError)
        assert (caught.value.status, caught.value.code) == (status, "out_of_memory")
        assert "Retry-After" in caught.value.headers


def test_a_bmp_of_runs_pays_for_its_pixels() -> None:
    """Run-length encoding: two bytes make 255 pixels."""
    width = height = 8000
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    raw = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + header + bytes(1024) + b"\xff\x00" * 1000
    with pytest.raises(PictureError, match=r"8000 x 8000 pixels.*budget"):
        decode(raw, purse())
