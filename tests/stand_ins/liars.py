"""Stand for real breakages of a vision endpoint, as a layer in front of a healthy one.

Each liar takes a request and `forward`, which puts a request to the healthy endpoint behind it. What the
breakage is in real life stands in each docstring.
"""

from __future__ import annotations

import base64
import copy
import io
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageOps

from .seeing_oracle import Body, image_parts, text_of

Forward = Callable[[Body], str]


class ServerError(Exception):
    """The endpoint answers 500."""


class BrokenStream(Exception):
    """The endpoint ends a stream before its end."""


class Liar:
    """Healthy: hands everything on. The liars change one thing each."""

    def __call__(self, body: Body, forward: Forward) -> str:
        return forward(body)


class ConstantAnswer(Liar):
    """A wrong chat template: the model goes on with the same words whatever is asked."""

    def __call__(self, body: Body, forward: Forward) -> str:
        return "circle"


class EmptyAnswers(Liar):
    """A stop token that comes first."""

    def __call__(self, body: Body, forward: Forward) -> str:
        return ""


class TextGuesser(Liar):
    """A text-only model under the vision model's name: answers sound right, nothing is looked at."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)

    def __call__(self, body: Body, forward: Forward) -> str:
        asked = text_of(body["messages"][-1]).casefold()
        guesses = {
            "json": ['{"color": "red", "shape": "circle"}', '{"color": "blue", "shape": "square"}'],
            "yes or no": ["yes", "no"],
            "colour": ["Red.", "The shape is blue.", "green", "yellow", "Black"],
            "what shape": ["circle", "The shape is a square.", "triangle"],
            "how many": ["1", "2", "3", "4"],
            "number": ["7", "42", "123", "100", "2024", "17"],
            "word": ["HELLO", "WORLD", "HOUSE", "STOP"],
        }
        for hint, choices in guesses.items():
            if hint in asked:
                return self._rng.choice(choices)
        return self._rng.choice(["Circle", "Dog", "Nothing", "Square"])


class PictureDropper(Liar):
    """A server that ignores image parts (LocalAI with a picture that it can't decode, a text-only
    template).
    """

    def __call__(self, body: Body, forward: Forward) -> str:
        body = copy.deepcopy(body)
        for message in body["messages"]:
            if isinstance(message["content"], list):
                message["content"] = text_of(message)
        return forward(body)


class ChangesPictures(Liar):
    """A liar that changes pictures on their way."""

    def change(self, image: Image.Image) -> Image.Image:
        raise NotImplementedError

    def __call__(self, body: Body, forward: Forward) -> str:
        body = copy.deepcopy(body)
        for part in image_parts(body):
            raw = base64.b64decode(part["image_url"]["url"].split(",", 1)[1])
            buffer = io.BytesIO()
            self.change(Image.open(io.BytesIO(raw)).convert("RGB")).save(buffer, "PNG")
            part["image_url"]["url"] = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        return forward(body)


class RedBlueSwapper(ChangesPictures):
    """BGR taken for RGB, as between OpenCV and Pillow."""

    def change(self, image: Image.Image) -> Image.Image:
        red, green, blue = image.split()
        return Image.merge("RGB", (blue, green, red))


class LowResolution(ChangesPictures):
    """A broken projector or resize: eight by eight pixels get through."""

    def change(self, image: Image.Image) -> Image.Image:
        return image.resize((8, 8), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


class Mirror(ChangesPictures):
    """A flip left over from training's augmentation."""

    def change(self, image: Image.Image) -> Image.Image:
        return ImageOps.mirror(image)


class AlwaysBlank(ChangesPictures):
    """A preprocessing that divides by 255 twice, or a zeroed projector: every picture arrives empty."""

    def change(self, image: Image.Image) -> Image.Image:
        return Image.new("RGB", image.size, (255, 255, 255))


class FirstPicture(Liar):
    """A cache of image features with a key that is always the same."""

    def __init__(self) -> None:
        self._first: str | None = None

    def __call__(self, body: Body, forward: Forward) -> str:
        body = copy.deepcopy(body)
        for part in image_parts(body):
            self._first = self._first or part["image_url"]["url"]
            part["image_url"]["url"] = self._first
        return forward(body)


class LeakyPicture(Liar):
    """Image features of the last request left in the batch: a question without a picture is told about
    them.
    """

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None

    def __call__(self, body: Body, forward: Forward) -> str:
        parts = image_parts(body)
        if parts:
            self._last = parts[0]
        elif self._last:
            body = copy.deepcopy(body)
            last = body["messages"][-1]
            last["content"] = [self._last, {"type": "text", "text": text_of(last)}]
        return forward(body)


class OrderReverser(Liar):
    """Pictures pushed on a stack and popped: the last comes first."""

    def __call__(self, body: Body, forward: Forward) -> str:
        body = copy.deepcopy(body)
        parts = image_parts(body)
        for part, url in zip(parts, [part["image_url"]["url"] for part in reversed(parts)], strict=True):
            part["image_url"] = {"url": url}
        return forward(body)


class FirstOfTwoOnly(Liar):
    """A template with one image token: the second picture is shown as the first again."""

    def __call__(self, body: Body, forward: Forward) -> str:
        body = copy.deepcopy(body)
        parts = image_parts(body)
        for part in parts[1:]:
            part["image_url"] = parts[0]["image_url"]
        return forward(body)


class QuestionCache(Liar):
    """A response cache whose key leaves the picture out."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def __call__(self, body: Body, forward: Forward) -> str:
        asked = text_of(body["messages"][-1])
        if asked not in self._answers:
            self._answers[asked] = forward(body)
        return self._answers[asked]


class LateAnswers(Liar):
    """A queue that is off by one: each request gets the answer of the one before."""

    def __init__(self) -> None:
        self._before = "red"

    def __call__(self, body: Body, forward: Forward) -> str:
        answer, self._before = self._before, forward(body)
        return answer


class MixedUpBatch(Liar):
    """A batch whose rows come back in another order: only requests at the same moment are hurt."""

    def __init__(self, window: float = 0.2) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._batch: list[Body] = []
        self._full = threading.Event()

    def __call__(self, body: Body, forward: Forward) -> str:
        with self._lock:
            batch, full, place = self._batch, self._full, len(self._batch)
            batch.append(body)
        if place == 0:
            time.sleep(self._window)
            with self._lock:
                self._batch, self._full = [], threading.Event()
            full.set()
        full.wait()
        return forward(batch[(place + 1) % len(batch)])


class ForgetsHistory(Liar):
    """A template that renders the last turn only."""

    def __call__(self, body: Body, forward: Forward) -> str:
        return forward({**body, "messages": body["messages"][-1:]})


class Slow(Liar):
    """Layers swapped to the CPU, a throttled GPU: right, but late."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, body: Body, forward: Forward) -> str:
        time.sleep(self._seconds)
        return forward(body)


class FailsNowAndThen(Liar):
    """Out of memory at some sizes, a replica that restarts: every n-th request is answered 500."""

    def __init__(self, every: int = 12) -> None:
        self._every = every
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, body: Body, forward: Forward) -> str:
        with self._lock:
            self._count += 1
            fails = self._count % self._every == 0
        if fails:
            raise ServerError
        return forward(body)


class CutsStreams(Liar):
    """A proxy in front that buffers and then drops streamed answers."""

    def __call__(self, body: Body, forward: Forward) -> str:
        if body.get("stream"):
            raise BrokenStream
        return forward(body)
