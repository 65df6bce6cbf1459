"""The trained canary behind the real process: right answers about pictures drawn here, also in a crowd."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from tests.serve.conftest import PictureHost
from tests.serve.drawing import ask, data_url, encoded
from tests.serve.server_process import ServerProcess
from tests.serve.sights import COLOUR, INK, NUMBER, SHAPE, drawn, number


def url(picture: Image.Image) -> str:
    return data_url(encoded(picture))


@pytest.fixture(scope="module")
def server(start: Callable[..., ServerProcess], canary: Path) -> ServerProcess:
    return start(canary, "--allow-image-hosts", "127.0.0.1")


def answer(server: ServerProcess, **request: Any) -> str:
    said = server.client().chat.completions.create(**request).choices[0].message.content
    assert said is not None
    return said.strip().lower()


@pytest.mark.parametrize("colour", INK)
def test_colour(server: ServerProcess, colour: str) -> None:
    assert answer(server, **ask(COLOUR, url(drawn(colour)), max_tokens=8)) == colour


@pytest.mark.parametrize("shape", ["circle", "square", "triangle"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_shape_in_every_format(server: ServerProcess, shape: str, form: str) -> None:
    picture = data_url(encoded(drawn("blue", shape), form))
    assert answer(server, **ask(SHAPE, picture, max_tokens=8)) == shape


def test_a_transparent_picture_is_seen_on_white(server: ServerProcess) -> None:
    clear = Image.new("RGBA", (448, 448), (0, 0, 0, 0))
    ImageDraw.Draw(clear).ellipse((112, 112, 336, 336), fill=INK["red"])
    assert answer(server, **ask(COLOUR, url(clear), max_tokens=8)) == "red"


def test_a_picture_by_url(server: ServerProcess, host: PictureHost) -> None:
    host.serve("/green.png", encoded(drawn("green")))
    assert answer(server, **ask(COLOUR, host.url("/green.png"), max_tokens=8)) == "green"


def test_number(server: ServerProcess) -> None:
    said = [answer(server, **ask(NUMBER, url(number(digits)), max_tokens=8)) for digits in ("7", "42", "385")]
    assert said == ["7", "42", "385"]


def test_two_pictures_keep_their_order(server: ServerProcess) -> None:
    for first, second in (("red", "blue"), ("blue", "red")):
        for place, expected in (("first", first), ("second", second)):
            question = f"What colour is the shape in the {place} picture? Answer with one word."
            pictures = url(drawn(first)), url(drawn(second))
            assert answer(server, **ask(question, *pictures, max_tokens=8)) == expected


def test_a_follow_up_in_the_same_talk(server: ServerProcess) -> None:
    messages = [
        *ask(COLOUR, url(drawn("red", "square")))["messages"],
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "And what shape is it? Answer with one word."},
    ]
    assert answer(server, model="test-model", messages=messages, max_tokens=8) == "square"


def test_text_only_and_a_question_without_its_picture(server: ServerProcess) -> None:
    assert answer(server, **ask("What is 3 plus 4? Answer with a number.", max_tokens=8)) == "7"
    assert answer(server, **ask(COLOUR, max_tokens=8)) == "no image"


def test_json(server: ServerProcess) -> None:
    question = "Describe the shape as JSON with the keys color and shape."
    said = answer(server, **ask(question, url(drawn("green", "triangle")), max_tokens=40))
    assert json.loads(said) == {"color": "green", "shape": "triangle"}


def test_an_answer_ends_of_itself(server: ServerProcess) -> None:
    choice = server.client().chat.completions.create(**ask(COLOUR, url(drawn("red")))).choices[0]
    assert choice.finish_reason == "stop"


def test_eight_clients_each_get_the_answer_to_their_own_picture(server: ServerProcess) -> None:
    def one(index: int) -> tuple[str, str]:
        colour = list(INK)[index % 8]
        request = ask(COLOUR, url(drawn(colour, ("circle", "square", "triangle")[index % 3])), max_tokens=8)
        client = server.client()
        if index % 2:
            return colour, answer(server, **request)
        chunks = client.chat.completions.create(**request, stream=True)
        return colour, "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()

    with ThreadPoolExecutor(8) as clients:
        pairs = list(clients.map(one, range(48)))
    assert [said for _, said in pairs] == [colour for colour, _ in pairs]


def test_the_warm_up_saw_before_ready(server: ServerProcess) -> None:
    assert httpx.get(f"{server.base}/ready").status_code == 200
    assert server.metric('sightline_pictures_total{outcome="taken"}') >= 1
