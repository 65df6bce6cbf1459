"""Real files of each format, mutated: a picture or a refusal and nothing else, in bounded memory."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from sightline_serve.canvas import MAX_SIDE
from sightline_serve.pictures import PictureError, Purse, decode, is_large
from sightline_serve.settings import Budget

from tests.serve.drawing import disc, encoded

PIXELS = 4_000_000
Span = tuple[int, int]


@cache
def samples() -> dict[str, bytes]:
    """Small files that use much of what each format has."""
    noise = Image.effect_noise((40, 30), 60)
    frames = [disc(colour, 24) for colour in ("red", "blue")]
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "PNG": encoded(disc(side=24), exif=exif),
        "PNG, palette": encoded(disc(side=24).quantize(4), transparency=0),
        "PNG, one bit": encoded(noise.convert("1")),
        "PNG, animated": encoded(frames[0], save_all=True, append_images=frames[1:]),
        "JPEG": encoded(noise.convert("RGB"), "JPEG", exif=exif),
        "JPEG, progressive": encoded(noise, "JPEG", progressive=True),
        "JPEG, CMYK": encoded(noise.convert("CMYK"), "JPEG"),
        "MPO": encoded(disc("red", 24), "MPO", save_all=True, append_images=[disc("blue", 24)]),
        "WebP": encoded(noise.convert("RGB"), "WEBP", exif=exif),
        "WebP, animated": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "WebP, lossless": encoded(noise.convert("RGBA"), "WEBP", lossless=True),
        "GIF": encoded(disc(side=24), "GIF"),
        "GIF, animated": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "BMP": encoded(disc(side=24), "BMP"),
        "BMP, palette": encoded(disc(side=24).quantize(4), "BMP"),
    }


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sample with bytes changed, parts cut out, repeated, or put in from another sample."""
    files = samples()
    raw = bytearray(files[draw(st.sampled_from(sorted(files)))])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(raw) - 1)))
        end = min(len(raw), start + draw(st.integers(1, 40)))
        match draw(st.sampled_from(["byte", "number", "cut", "repeat", "truncate", "other"])):
            case "byte":
                raw[start : start + 1] = bytes([draw(st.integers(0, 255))])
            case "number":  # sizes, lengths and offsets at their ends
                value = draw(
                    st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
                )
                raw[start : start + 4] = value.to_bytes(4, draw(st.sampled_from(["big", "little"])))
            case "cut":
                del raw[start:end]
            case "repeat":
                raw[start:start] = raw[start:end] * draw(st.integers(1, 20))
            case "truncate":
                del raw[start:]
            case "other":
                other = files[draw(st.sampled_from(sorted(files)))]
                raw[start:end] = other[start:end]
    return bytes(raw)


def rss() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def fuzz(seconds: float) -> tuple[int, int]:
    """(pictures, refusals) within the time."""
    taken = refused = 0
    until = time.monotonic() + seconds

    @settings(
        max_examples=1_000_000, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutated())
    def intake(raw: bytes) -> None:
        nonlocal taken, refused
        if time.monotonic() > until:
            raise TimeoutError
        purse = Purse(Budget(pixels=PIXELS))
        try:
            if is_large(raw):  # refused by its price; what is decoded apart has tests of its own
                with pytest.raises(PictureError):
                    decode(raw, purse)
                refused += 1
                return
            picture = decode(raw, purse)
        except PictureError as error:
            said = str(error)
            refused += 1
            assert said.endswith(".")
            assert len(said) < 500
            return
        taken += 1
        assert picture.mode == "RGB"
        assert 1 <= min(picture.size) <= max(picture.size) <= MAX_SIDE
        assert purse.pixels >= 0

    with suppress(TimeoutError):
        intake()
    return taken, refused


def check(seconds: float) -> None:
    fuzz(seconds / 4)
    before = rss()
    taken, refused = fuzz(seconds * 3 / 4)
    assert taken > 10
    assert refused > 10
    assert rss() - before < 64
    print(f"{taken} taken, {refused} refused, {rss() - before:.1f} MiB more")


def test_mutated_files_are_pictures_or_refused() -> None:
    check(float(os.environ.get("SIGHTLINE_FUZZ_SECONDS", "10")))


@pytest.mark.slow
def test_the_same_for_a_minute() -> None:
    check(60)


@pytest.mark.parametrize("name", sorted(samples()))
def test_the_samples_themselves_are_pictures(name: str) -> None:
    assert decode(samples()[name], Purse(Budget())).mode == "RGB"
