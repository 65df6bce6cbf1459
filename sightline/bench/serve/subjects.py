"""The models that the servers are measured with, and the pictures and questions they are asked."""

from __future__ import annotations

import base64
import io
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from sightline.bench.errors import BenchError
from sightline.bench.running import run
from sightline.layout import CHECKOUT

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 150, 50),
    "blue": (30, 70, 220),
    "yellow": (240, 210, 30),
    "black": (15, 15, 15),
}


@dataclass(frozen=True)
class Subject:
    """A model folder. `gguf` is the folder of its GGUF pair; `sees` tells whether answers can be judged."""

    name: str
    family: str
    folder: Path
    gguf: Path | None
    question: str
    sees: bool

    @property
    def asked_as(self) -> str:
        """What every request names as the model: `transformers serve` knows a model by its folder alone."""
        return str(self.folder)

    def request(self, number: int, tokens: int) -> tuple[dict[str, Any], Callable[[str], bool]]:
        """The body of request `number`, whose picture no other number has, and a judge of its answer."""
        colour = list(COLOURS)[number % len(COLOURS)]
        body = {
            "model": self.asked_as,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": _disc(COLOURS[colour], number)}},
                        {"type": "text", "text": self.question},
                    ],
                }
            ],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
        }
        return body, lambda answer: not self.sees or colour in answer.lower()


def canary() -> Subject:
    """The trained canary: its answers are judged, and end by themselves."""
    weights = CHECKOUT / "canary/weights"
    question = "Describe the shape as JSON with the keys color and shape."
    return Subject("canary", "llava", weights, weights / "gguf", question, sees=True)


def llava(scratch: Path, python: Path) -> Subject:
    """A LLaVA of 300 M random parameters, made with `python` of the environment `engine` if not there yet.

    Raises BenchError.
    """
    folder = scratch / "random-llava"
    _make("canary.random_llava", folder, folder / "gguf/mmproj-canary-f16.gguf", python)
    return Subject("random LLaVA, 300 M", "llava", folder, folder / "gguf", "Describe it.", sees=False)


def mllama(scratch: Path, python: Path) -> Subject:
    """A Llama 3.2 Vision of 300 M random parameters, made like the LLaVA. Raises BenchError."""
    folder = scratch / "random-mllama"
    _make("canary.random_mllama", folder, folder / "generation_config.json", python)
    return Subject("random mllama, 300 M", "mllama", folder, None, "Describe it.", sees=False)


def _make(module: str, folder: Path, last: Path, python: Path) -> None:
    """Runs the program that makes a model, unless `last`, the file that it writes last, is there."""
    if last.exists():
        return
    made = run([str(python), "-m", module, str(CHECKOUT / "canary/weights"), str(folder)], folder=CHECKOUT)
    if made.code:
        raise BenchError(f"{folder.name} could not be made: {made.output.strip()[-500:]}")


def _disc(colour: tuple[int, int, int], number: int) -> str:
    """A PNG as a data URL; its size and the disc's place depend on `number`."""
    side, shift = 200 + number % 97, number // 97 % 40
    picture = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(picture).ellipse((30 + shift, 30, side - 60 + shift, side - 60), fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def environment(name: str) -> Path:
    """The folder of one of the checkout's environments, built if need be. Raises BenchError."""
    built = subprocess.run(
        [str(CHECKOUT / "scripts/environment"), name], stdout=subprocess.PIPE, text=True, check=False
    )
    if built.returncode:
        raise BenchError(f"the environment '{name}' could not be built (see above)")
    return Path(built.stdout.strip())
