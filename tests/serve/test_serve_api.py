"""The real process over HTTP, with random weights: the protocol, the refusals, the limits."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.serve.conftest import PictureHost
from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import ServerProcess
from tests.serve.tiny_llava import CONTEXT

URL = data_url()


def error(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error, after a check that it is in the envelope."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    found: dict[str, Any] = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


def test_a_whole_answer(keyed: ServerProcess) -> None:
    answer = keyed.client().chat.completions.create(**ask("hello", URL, max_tokens=7))
    assert answer.object == "chat.completion"
    assert answer.model == "test-model"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 7


def test_a_streamed_answer_is_the_whole_answer(keyed: ServerProcess) -> None:
    client = keyed.client()
    whole = client.chat.completions.create(**ask("hello", URL, max_tokens=20))
    chunks = list(
        client.chat.completions.create(
            **ask("hello", URL, max_tokens=20), stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_stream_as_bytes(keyed: ServerProcess) -> None:
    with httpx.stream(
        "POST", f"{keyed.base}/v1/chat/completions", headers=keyed.headers,
        json=ask("hello", max_tokens=3, stream=True), timeout=30,
    ) as response:  # fmt: skip
        assert response.headers["content-type"].startswith("text/event-stream")
        events = response.read().decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + [
        "length"
    ]
    assert "usage" not in chunks[0]


def test_sampling_is_seeded_and_seeds_differ(keyed: ServerProcess) -> None:
    def said(**fields: Any) -> str | None:
        request = ask("hello", max_tokens=12, temperature=1.5, **fields)
        return keyed.client().chat.completions.create(**request).choices[0].message.content

    assert said(seed=5) == said(seed=5)
    assert len({said(seed=seed) for seed in range(4)}) > 1
    assert said(seed=5, extra_body={"top_k": 1}) == said(seed=6, extra_body={"top_k": 1, "min_p": 0.5})


def test_a_stop_string_ends_the_answer(keyed: ServerProcess) -> None:
    client = keyed.client()
    text = client.chat.completions.create(**ask("hello", max_tokens=30)).choices[0].message.content
    assert text is not None
    stop = text[10:12]
    choice = client.chat.completions.create(**ask("hello", max_tokens=30, stop=[stop])).choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.content == text[: text.index(stop)]


def test_the_open_and_the_locked_doors(keyed: ServerProcess) -> None:
    assert keyed.get("/health").json() == {"status": "ok"}
    assert keyed.get("/ready").json() == {"status": "ready"}
    for path in ("/v1/models", "/metrics", "/openapi.json", "/docs", "/v1/models/test-model"):
        error(keyed.get(path), 401)
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic x"},
        {"X-Api-Key": keyed.key},
    ):
        assert error(keyed.post(ask("x"), headers=headers), 401)["code"] == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{keyed.base}/v1", api_key="wrong", max_retries=0).models.list()


def test_models(keyed: ServerProcess) -> None:
    listed = keyed.client().models.list().data
    assert [model.id for model in listed] == ["test-model"]
    assert keyed.client().models.retrieve("test-model") == listed[0]
    assert listed[0].model_dump()["max_model_len"] == CONTEXT
    assert listed[0].model_dump()["batching"] is True
    with pytest.raises(openai.NotFoundError):
        keyed.client().models.retrieve("other")


def test_unknown_model_path_and_method(keyed: ServerProcess) -> None:
    assert error(keyed.post({**ask("x"), "model": "gpt"}), 404)["code"] == "model_not_found"
    error(keyed.get("/v1/nothing", headers=keyed.headers), 404)
    error(keyed.get("/v1/chat/completions", headers=keyed.headers), 405)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{nonsense", "invalid_json"),
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (json.dumps({"model": "test-model"}).encode(), "invalid_value"),
        (json.dumps(ask("x", best_of=2)).encode(), "unsupported_value"),
        (json.dumps(ask("x", n=100)).encode(), "invalid_value"),
        (json.dumps(ask("x", logit_bias={"999": 1})).encode(), "invalid_value"),
        (json.dumps(ask("x", temperature=9)).encode(), "invalid_value"),
        (json.dumps(ask("a" * (CONTEXT + 100))).encode(), "context_length_exceeded"),
        (json.dumps(ask("look at <image>")).encode(), "placeholder_mismatch"),
        (json.dumps(ask("x", *[URL] * 4)).encode(), "too_many_images"),
    ],
)
def test_a_bad_request_is_a_400_in_the_envelope(keyed: ServerProcess, body: bytes, code: str) -> None:
    assert error(keyed.post(body), 400)["code"] == code


def bad_pictures() -> Iterator[tuple[str, str]]:
    truncated = encoded(Image.effect_noise((99, 99), 50))[:3000]
    yield "data:image/png;base64,????", "base64 is broken"
    yield data_url(truncated), "damaged"
    yield data_url(b"<html>"), "HTML page"
    yield data_url(encoded(Image.new("1", (13000, 13000)))), "13000 x 13000"
    yield data_url(encoded(Image.effect_noise((800, 800), 90))), "0.5 MiB of picture files"
    yield "http://localhost:1/a.png", "not a public address"
    yield "http://169.254.169.254/latest/meta-data/", "not a public address"
    yield "file:///etc/passwd", "neither a data URL nor"
    yield "/etc/passwd", "neither a data URL nor"


@pytest.mark.parametrize(("url", "why"), list(bad_pictures()), ids=lambda value: value[:40])
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_picture_is_a_400_that_says_which_and_why(
    keyed: ServerProcess, url: str, why: str, stream: bool
) -> None:
    found = error(keyed.post(ask("what?", URL, url, max_tokens=2, stream=stream)), 400)
    assert found["message"].startswith("Picture 2 (messages[0].content[1]) ")
    assert why in found["message"]
    assert (found["param"], found["code"]) == ("messages[0].content[1]", "invalid_image")


def test_a_picture_by_url_is_the_picture(keyed: ServerProcess, host: PictureHost) -> None:
    raw = encoded(disc("blue"))
    host.serve("/blue.png", raw)
    texts = [
        keyed.client().chat.completions.create(**ask("what?", url, max_tokens=20)).choices[0].message.content
        for url in (host.url("/blue.png"), data_url(raw), data_url(encoded(disc("yellow"))))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_picture_that_cannot_be_fetched_is_a_400(keyed: ServerProcess, host: PictureHost) -> None:
    host.serve("/page", b"<html></html>", kind="text/html")
    host.redirect("/inside", host.url("/page", "localhost"))
    host.trickle("/slow")
    for path, why in (
        ("/missing", "answered 404"),
        ("/page", "text/html"),
        ("/inside", "not a public address"),
        ("/slow", "did not arrive within 2 s"),
    ):
        assert why in error(keyed.post(ask("what?", URL, host.url(path))), 400)["message"]


def test_health_answers_while_pictures_are_slow(keyed: ServerProcess, host: PictureHost) -> None:
    host.trickle("/slow")
    with socket.create_connection(("127.0.0.1", keyed.port)) as waiting:
        body = json.dumps(ask("what?", host.url("/slow"))).encode()
        waiting.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {keyed.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )  # fmt: skip
        keyed.wait_for(lambda: host.seen)
        assert httpx.get(f"{keyed.base}/health", timeout=1).status_code == 200
        assert b" 400 " in waiting.recv(4096)  # its own turn came later


def test_too_large_a_body_is_a_413_however_it_is_sent(keyed: ServerProcess) -> None:
    large = json.dumps(ask("x" * 1_100_000)).encode()

    def in_chunks() -> Iterator[bytes]:
        for at in range(0, len(large), 50_000):
            yield large[at : at + 50_000]

    assert error(keyed.post(large), 413)["code"] == "request_too_large"
    response = httpx.post(
        f"{keyed.base}/v1/chat/completions", headers=keyed.headers, content=in_chunks(), timeout=30
    )
    assert error(response, 413)["code"] == "request_too_large"
    error(keyed.post(large, headers={}), 401)  # without a key it is not even weighed


def test_eight_clients_at_once_get_what_each_gets_alone(keyed: ServerProcess) -> None:
    """Random weights answer nonsense, but each picture has its own: a mixed-up answer is somebody else's."""
    colours = ["red", "blue", "green", "yellow", "black", "orange", "purple", "pink"]
    requests = [ask("what?", data_url(encoded(disc(colour))), max_tokens=30) for colour in colours]

    def said(request: dict[str, Any]) -> str | None:
        return keyed.client().chat.completions.create(**request).choices[0].message.content

    alone = [said(request) for request in requests]
    assert len(set(alone)) == len(colours)
    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(said, requests * 3)) == alone * 3


def running(server: ServerProcess) -> float:
    return server.metric("sightline_running_requests")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_place(keyed: ServerProcess, stream: bool) -> None:
    keyed.wait_for(lambda: running(keyed) == 0)
    tokens = keyed.metric("sightline_generated_tokens_total")
    body = json.dumps(ask("hello", URL, stream=stream)).encode()
    with socket.create_connection(("127.0.0.1", keyed.port)) as leaving:
        leaving.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            + f"Authorization: Bearer {keyed.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )  # fmt: skip
        keyed.wait_for(lambda: running(keyed) == 1)
    keyed.wait_for(lambda: running(keyed) == 0)
    assert keyed.metric("sightline_generated_tokens_total") == tokens  # it was not finished


def test_the_log_has_one_line_a_request_and_no_secrets(keyed: ServerProcess, host: PictureHost) -> None:
    host.serve("/secret-name.png", encoded(disc()))
    before = len(keyed.log.read_text())
    keyed.post(ask("my secret question", host.url("/secret-name.png"), max_tokens=3, stop=["secret stop"]))
    keyed.post(ask("my secret question", host.url("/secret-missing.png")))
    keyed.post(ask("x"), headers={"Authorization": "Bearer secret-wrong-key"})
    keyed.get(f"/secret?key={keyed.key}", headers=keyed.headers)

    def told() -> list[str]:
        """But for clients that left in an earlier test: their lines may come late."""
        new = keyed.log.read_text()[before:].splitlines()
        return [line.split(maxsplit=2)[2] for line in new if " 499 " not in line]

    keyed.wait_for(lambda: len(told()) >= 4)
    lines = told()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["POST", "/v1/chat/completions", status] for status in ("200", "400", "401")
    ]
    assert lines[0].rsplit("=", 1)[1].endswith("+3")
    log = keyed.log.read_text()
    assert keyed.key not in log
    for secret in ("secret question", "secret-name", "secret-missing", "secret stop", "wrong-key", "base64"):
        assert secret not in log


def test_metrics_count(keyed: ServerProcess) -> None:
    answered = 'sightline_requests_total{path="/v1/chat/completions",status="200"}'
    before = {name: keyed.metric(name) for name in (answered, "sightline_generated_tokens_total")}
    taken = keyed.metric('sightline_pictures_total{outcome="taken"}')
    keyed.post(ask("hello", URL, URL, max_tokens=4))
    assert keyed.metric(answered) == before[answered] + 1
    assert keyed.metric("sightline_generated_tokens_total") == before["sightline_generated_tokens_total"] + 4
    assert keyed.metric('sightline_pictures_total{outcome="taken"}') == taken + 2
    assert keyed.metric("sightline_ready") == 1
