"""Stands for a healthy vision model where none can run: it recognises the pictures that this very process
drew.

It can't see. It knows each picture by its bytes, because `Gallery` notes every picture that is sent.
Everything else (questions, follow-ups, pictures that are not in the gallery) it takes from the request, and
it refuses requests that a real endpoint would refuse.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sightline.prove.cases import QUESTIONS
from sightline.prove.client import Reply
from sightline.prove.draw import Picture
from sightline.prove.vocabulary import COLOURS, SHAPES, WORDS

Body = dict[str, Any]
_ASKED = {text: name for name, text in QUESTIONS.items()}


class Gallery:
    """Every picture that was made into a data URL while the gallery was open, by that URL."""

    def __init__(self) -> None:
        self._known: dict[str, Picture] = {}

    def picture(self, url: str) -> Picture | None:
        """The picture behind a data URL, None for one that was changed on its way."""
        return self._known.get(url)

    @contextmanager
    def open(self) -> Iterator[Gallery]:
        """Note all pictures that are sent."""
        original = vars(Picture)["data_url"].fget

        def noted(picture: Picture) -> str:
            url: str = original(picture)
            self._known[url] = picture
            return url

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Picture, "data_url", property(noted))
            yield self


class SeeingOracle:
    """Answers like a good small model: one word, "no image" without a picture, "nothing" for an empty one.

    `accuracy` is the chance (0-1) that an answer is what a healthy model would say; the others are misread.
    """

    def __init__(self, gallery: Gallery, accuracy: float = 1.0, seed: int = 0) -> None:
        self._gallery = gallery
        self._accuracy = accuracy
        self._rng = random.Random(seed)

    def answer(self, body: Body) -> str:
        """The answer to a chat completion request; raises AssertionError for one that no client should
        send.
        """
        messages = body["messages"]
        assert messages[-1]["role"] == "user"
        pictures = [self._gallery.picture(url) for url in image_urls(body)]
        assert all(picture is not None for picture in pictures), "a picture that nobody drew"
        question = text_of(messages[-1])
        truth = _truth(_ASKED[question], [picture for picture in pictures if picture])
        return truth if self._rng.random() < self._accuracy else _misread(self._rng, truth)

    def ask(self, turns: list[dict[str, Any]], stream: bool = False) -> Reply:
        """The face of an Endpoint, without HTTP between."""
        return asking(self.answer)(turns, stream)


def asking(answer: Callable[[Body], str]) -> Callable[[list[dict[str, Any]], bool], Reply]:
    """The `ask` of an Endpoint from a function that answers request bodies."""

    def ask(turns: list[dict[str, Any]], stream: bool = False) -> Reply:
        start = time.monotonic()
        text = answer({"messages": turns, "stream": stream})
        return Reply(text, time.monotonic() - start, pieces=len(text.split()) if stream else 0)

    return ask


def image_parts(body: Body) -> list[dict[str, Any]]:
    """All image parts of a request, in order."""
    return [
        part
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def image_urls(body: Body) -> list[str]:
    """The data URLs of a request; raises AssertionError for anything but a PNG."""
    urls = [part["image_url"]["url"] for part in image_parts(body)]
    for url in urls:
        assert url.startswith("data:image/png;base64,"), url[:40]
        assert base64.b64decode(url.split(",", 1)[1], validate=True).startswith(b"\x89PNG"), "no PNG"
    return urls


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, of string or list content."""
    content = message["content"]
    return (
        content
        if isinstance(content, str)
        else next(part["text"] for part in content if part["type"] == "text")
    )


def _truth(asked: str, pictures: list[Picture]) -> str:
    if not pictures:
        return "no image"
    if asked.startswith("same"):
        one, other = pictures
        alike = one.colour == other.colour if asked == "same colour" else one.shape == other.shape
        return "yes" if alike else "no"
    picture = pictures[1] if asked.endswith("second") else pictures[0]
    if picture.count == 0 and picture.text is None:
        return "nothing"
    if asked == "json":
        return json.dumps({"color": picture.colour, "shape": picture.shape})
    if asked in ("number", "word") or asked.startswith("number"):
        return picture.text or "nothing"
    return str(
        {"colour": picture.colour, "shape": picture.shape, "count": picture.count}.get(
            {"and shape": "shape", "colour first": "colour", "colour second": "colour"}.get(asked, asked),
            "nothing",
        )
    )


def _misread(rng: random.Random, truth: str) -> str:
    """Something else of the same sort."""
    if truth.isdigit():
        return str((int(truth) + rng.choice([1, 10, 3])) % 10_000)
    sort = next((names for names in (list(COLOURS), list(SHAPES), list(WORDS)) if truth in names), None)
    if sort is None:
        return {"yes": "no", "no": "yes", "nothing": "circle", "no image": "red"}.get(truth, "black")
    return rng.choice([name for name in sort if name != truth])
