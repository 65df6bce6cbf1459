"""The client: any endpoint, in any state, without ever showing the key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from sightline.prove.cases import Turn
from sightline.prove.client import LARGEST_REPLY, Endpoint, messages, read_key
from sightline.prove.draw import blank
from sightline.prove.errors import CouldNotTell
from tests.prove.conftest import Serve
from tests.stand_ins.endpoint import KEY

ASK = [{"role": "user", "content": "What colour is the shape? Answer with one word."}]
Handler = Callable[[httpx.Request], httpx.Response]


def endpoint(
    handler: Handler, key: str | None = "sk-secret", model: str | None = "m", timeout: float = 5
) -> Endpoint:
    """An endpoint whose server is a function."""
    return Endpoint("http://endpoint.test", model, key, timeout, transport=httpx.MockTransport(handler))


def completion(content: object) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": content}}]})


def test_a_plain_answer() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return completion("red")

    reply = endpoint(handler).ask(ASK)
    assert (reply.text, reply.fault) == ("red", None)
    body = json.loads(seen[0].content)
    assert str(seen[0].url) == "http://endpoint.test/v1/chat/completions"
    assert seen[0].headers["Authorization"] == "Bearer sk-secret"
    assert body == {"model": "m", "messages": ASK, "temperature": 0, "max_tokens": 64, "stream": False}


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), ([{"type": "text", "text": "re"}, {"type": "text", "text": "d"}], "red"), (7, "7")],
)
def test_odd_contents_are_read(content: object, text: str) -> None:
    assert endpoint(lambda request: completion(content)).ask(ASK).text == text


@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        (
            httpx.Response(500, json={"error": {"message": "out of memory"}}),
            "http",
            "HTTP 500: out of memory",
        ),
        (httpx.Response(500, text="<html>oops</html>"), "http", "HTTP 500: <html>oops</html>"),
        (httpx.Response(422, json={"detail": "no pictures"}), "http", "HTTP 422: no pictures"),
        (httpx.Response(401, json={"error": "bad key sk-secret"}), "refused", "HTTP 401: bad key [the key]"),
        (httpx.Response(404, text=""), "refused", "HTTP 404"),
        (httpx.Response(200, text="hello"), "malformed", "not a chat completion"),
        (httpx.Response(200, json=[]), "malformed", "not a chat completion"),
        (httpx.Response(200, json={"choices": []}), "malformed", "not a chat completion"),
        (httpx.Response(200, content=b"x" * (LARGEST_REPLY + 1)), "malformed", "larger than"),
    ],
)
def test_bad_responses_become_faults(response: httpx.Response, kind: str, said: str) -> None:
    fault = endpoint(lambda request: response).ask(ASK).fault
    assert fault is not None
    assert fault.kind == kind
    assert said in fault.text
    assert "sk-secret" not in fault.text


def test_an_echoed_key_is_hidden_in_answers() -> None:
    assert endpoint(lambda request: completion("key sk-secret!")).ask(ASK).text == "key [the key]!"


def test_a_timeout_is_a_fault() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    fault = endpoint(handler).ask(ASK).fault
    assert fault is not None
    assert (fault.kind, fault.text) == ("timeout", "no answer within 5 s")


def test_a_reply_that_trickles_is_cut_at_the_deadline() -> None:
    class Trickle(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                time.sleep(0.01)
                yield b" "

    fault = endpoint(lambda request: httpx.Response(200, stream=Trickle()), timeout=0.05).ask(ASK).fault
    assert fault is not None
    assert fault.kind == "timeout"


def test_a_broken_connection_is_a_fault() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("gone")

    fault = endpoint(handler).ask(ASK).fault
    assert fault is not None
    assert (fault.kind, fault.text) == ("connection", "the connection failed: gone")


def test_asking_too_fast_is_the_askers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("sightline.prove.client.time.sleep", pauses.append)
    responses = [httpx.Response(429), httpx.Response(429), completion("red")]
    assert endpoint(lambda request: responses.pop(0)).ask(ASK).text == "red"
    assert pauses == [1.0, 2.0]


def test_always_too_fast_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.prove.client.time.sleep", lambda seconds: None)
    fault = endpoint(lambda request: httpx.Response(429)).ask(ASK).fault
    assert fault is not None
    assert fault.status == 429


def event(content: str) -> str:
    return f"data: {json.dumps({'choices': [{'delta': {'content': content}}]})}\n\n"


def test_a_stream_is_put_together() -> None:
    usage = 'data: {"choices": [], "usage": {}}\n\n'
    text = ": a comment\n\n" + event("re") + event("") + event("d") + usage + "data: [DONE]\n\n"
    reply = endpoint(lambda request: httpx.Response(200, text=text)).ask(ASK, stream=True)
    assert (reply.text, reply.pieces, reply.fault) == ("red", 2, None)
    assert reply.first_token_s is not None
    assert 0 <= reply.first_token_s <= reply.seconds


@pytest.mark.parametrize("text", [event("red"), "", "data: {broken\n\n"])
def test_a_stream_that_breaks_off_is_a_fault(text: str) -> None:
    fault = endpoint(lambda request: httpx.Response(200, text=text)).ask(ASK, stream=True).fault
    assert fault is not None
    assert fault.kind == "malformed"


@pytest.mark.parametrize(
    ("listing", "model", "code"),
    [
        (httpx.Response(200, json={"data": [{"id": "a"}, {"id": "b"}]}), None, "which_model"),
        (httpx.Response(200, json={"data": []}), None, "which_model"),
        (httpx.Response(404), None, "which_model"),
        (httpx.Response(200, text="?"), None, "which_model"),
        (httpx.Response(200, json={"data": [{"id": "a"}]}), "b", "no_such_model"),
        (httpx.Response(401), "a", "unauthorised"),
        (httpx.Response(403), "a", "unauthorised"),
        (httpx.Response(503), "a", "not_ready"),
    ],
)
def test_no_model_to_ask_is_no_verdict(listing: httpx.Response, model: str | None, code: str) -> None:
    with pytest.raises(CouldNotTell) as caught:
        endpoint(lambda request: listing, model=model).choose_model()
    assert caught.value.code == code
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("listing", "model", "chosen"),
    [
        (httpx.Response(200, json={"data": [{"id": "only"}]}), None, "only"),
        (httpx.Response(200, json={"data": [{"id": "a"}, {"id": "b"}]}), "b", "b"),
        (httpx.Response(404), "named", "named"),
    ],
)
def test_the_model_to_ask(listing: httpx.Response, model: str | None, chosen: str) -> None:
    assert endpoint(lambda request: listing, model=model).choose_model() == chosen


def test_nobody_there_is_no_verdict() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(CouldNotTell, match="can't be reached"):
        endpoint(handler).choose_model()


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("http://h:1/v1", "http://h:1/v1"),
        ("https://h/api/v1/", "https://h/api/v1"),
        ("http://h/v1/chat/completions?x=1", "http://h/v1"),
    ],
)
def test_addresses(url: str, root: str) -> None:
    assert Endpoint(url).base_url == root


@pytest.mark.parametrize(
    "url", ["ftp://h", "h:8642", "http://", "http://user:secret@h/v1", "http://\x00", ""]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(CouldNotTell) as caught:
        Endpoint(url)
    assert caught.value.code == "bad_url"


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("  sk-1 \n")
    assert read_key(path) == "sk-1"
    for content in (b"", b"two words", b"a\nb\n", b"\xff\xfe", "schlüssel".encode()):
        path.write_bytes(content)
        with pytest.raises(CouldNotTell) as caught:
            read_key(path)
        assert caught.value.code == "key_file"
    with pytest.raises(CouldNotTell, match="No such file"):
        read_key(tmp_path / "none")
    with pytest.raises(CouldNotTell, match="directory"):
        read_key(tmp_path)


def test_a_conversation_carries_its_pictures_and_answers() -> None:
    picture = blank()
    talk = messages((Turn("one", (picture,)), Turn("two")), ["answer"])
    assert [message["role"] for message in talk] == ["user", "assistant", "user"]
    assert talk[0]["content"][0] == {"type": "image_url", "image_url": {"url": picture.data_url}}
    assert talk[0]["content"][1] == {"type": "text", "text": "one"}
    assert talk[1]["content"] == "answer"
    assert talk[2]["content"] == "two"


def test_over_real_http(serve: Serve) -> None:
    stand_in = serve()
    asked = Endpoint(stand_in.base_url, None, KEY)
    assert asked.choose_model() == "stand-in"
    assert asked.ask(ASK).text == "no image"
    assert asked.ask(ASK, stream=True).text.split() == ["no", "image"]
    assert Endpoint(stand_in.base_url, "stand-in", "wrong").ask(ASK).fault is not None
    asked.close()
