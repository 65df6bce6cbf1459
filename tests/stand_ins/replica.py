"""A stand-in of a model's server: an HTTP endpoint that names the colour of the picture it is sent.

It takes the picture apart and looks for the one colour that is not white; `mode` makes it blind or broken.
What it is sent is checked: the path, the key, the model, one picture in a data URL.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any

from PIL import Image

from .serving import served

KEY = "sk-of-the-stand-in"
MODEL = "model-of-the-stand-in"

NAMED = {
    "red": (225, 25, 30),
    "yellow": (250, 220, 20),
    "green": (30, 145, 50),
    "blue": (25, 65, 225),
    "purple": (130, 30, 165),
    "black": (15, 15, 15),
}


def colour_of(url: str) -> str:
    """The name of the commonest colour that is not white. Raises ValueError for what is no such picture."""
    head, _, data = url.partition(",")
    if head != "data:image/png;base64":
        raise ValueError(f"no data URL of a PNG: {head[:40]}")
    picture = Image.open(BytesIO(base64.b64decode(data, validate=True))).convert("RGB")
    counted = sorted((count, colour) for count, colour in picture.getcolors(1 << 16) or [])
    shown = [colour for _, colour in counted if isinstance(colour, tuple) and colour != (255, 255, 255)][-1]
    return min(NAMED, key=lambda name: sum((a - b) ** 2 for a, b in zip(NAMED[name], shown, strict=True)))


class ReplicaStandIn:
    """`mode`: "sees", "red" (says red of everything), "guesses" (in turn), "busy" (429), "broken" (500),
    "away" (503), "nonsense" (200 without a completion). `asked` counts requests, `problems` what was wrong
    with them.
    """

    def __init__(self) -> None:
        self.mode = "sees"
        self.asked = 0
        self.problems: list[str] = []
        self.url = ""

    def answer(self, path: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        try:
            seen = self._check(path, key, body)
        except (ValueError, LookupError, TypeError) as problem:
            self.problems.append(repr(problem))
            return 400, {"error": {"message": repr(problem)}}
        if self.mode in ("busy", "broken", "away"):
            return {"busy": 429, "broken": 500, "away": 503}[self.mode], {"error": {"message": self.mode}}
        if self.mode == "nonsense":
            return 200, {"hello": "world"}
        said = {"red": "red", "guesses": list(NAMED)[self.asked % len(NAMED)]}.get(self.mode, seen)
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        told = {"id": "x", "object": "chat.completion", "created": 1, "model": MODEL}
        return 200, {**told, "choices": [choice], "usage": usage}

    def _check(self, path: str, key: str, body: dict[str, Any]) -> str:
        if path != "/v1/chat/completions":
            raise ValueError(f"asked at {path}")
        if key != f"Bearer {KEY}":
            raise ValueError("asked with another key")
        if body["model"] != MODEL:
            raise ValueError(f"asked for {body['model']!r}")
        pictures = [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
        (picture,) = pictures
        return colour_of(picture["image_url"]["url"])

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[ReplicaStandIn]:
        """On a port of loopback until the context ends."""
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers.get("Authorization", "")
                status, said = stand_in.answer(self.path, key, body)
                sent = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        with served(Handler, port=port) as address:
            self.url = f"{address}/v1"
            yield self
