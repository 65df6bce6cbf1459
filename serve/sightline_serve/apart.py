"""A large picture is decoded in a process of its own: python -m sightline_serve.apart < file

Its memory goes back when it ends, it can be stopped, and a decoder that keeps Python's lock (WebP's does)
does not stop the server's other threads. Written to stdout: the size as "WIDTH HEIGHT" and a line's end, then
RGB, 8 bits each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

SECONDS = 60.0
DAMAGED, NO_MEMORY = 3, 4  # exit codes; what is wrong stands on stderr


class Undecodable(ValueError):
    """Why, as the end of a sentence."""


def decode(raw: bytes) -> Image.Image:
    """The picture in `raw`, upright, RGB. Raises Undecodable, or MemoryError."""
    package = str(Path(__file__).resolve().parents[1])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sightline_serve.apart"],
            input=raw,
            capture_output=True,
            timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": package},
        )
    except subprocess.TimeoutExpired:
        raise Undecodable(f"took longer than {SECONDS:g} s to decode") from None
    if done.returncode in (NO_MEMORY, -9):  # 9: the kernel's choice when memory is out
        raise MemoryError
    if done.returncode:
        raise Undecodable(done.stderr.decode(errors="replace").strip()[-200:] or "its decoder broke down")
    size, _, pixels = done.stdout.partition(b"\n")
    width, height = map(int, size.split())
    return Image.frombytes("RGB", (width, height), pixels)


def main() -> int:
    from sightline_serve import pictures

    os.nice(10)  # small pictures and /health go first
    try:
        picture = pictures.decoded(pictures.opened(sys.stdin.buffer.read()))
    except MemoryError:
        return NO_MEMORY
    except pictures.PictureError as error:
        print(error, file=sys.stderr)
        return DAMAGED
    sys.stdout.buffer.write(b"%d %d\n" % picture.size)
    sys.stdout.buffer.write(picture.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
