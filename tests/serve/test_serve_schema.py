"""What a request may say, and how a refusal reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sightline_serve.asking import sampling_params
from sightline_serve.errors import ApiError
from sightline_serve.model import Defaults
from sightline_serve.schema import ImagePart, TextPart, parse_chat

HELLO = {"role": "user", "content": "hello"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [HELLO], **fields}).encode()


def refused(raw: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_chat(raw)
    assert caught.value.status == 400
    return caught.value


def test_string_and_parts_are_the_same() -> None:
    parts = [{"type": "text", "text": "hello"}]
    assert parse_chat(body()) == parse_chat(body(messages=[{"role": "user", "content": parts}]))


def test_pictures_by_object_and_by_bare_string() -> None:
    for url in ({"url": "data:x"}, "data:x", {"url": "data:x", "detail": "high"}):
        request = parse_chat(
            body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": url}]}])
        )
        part = request.messages[0].content[0]
        assert isinstance(part, ImagePart)
        assert part.image_url.url == "data:x"
    assert isinstance(parse_chat(body()).messages[0].content[0], TextPart)


@pytest.mark.parametrize(
    "fields",
    [
        {
            "user": "u",
            "metadata": {"a": "b"},
            "store": False,
            "service_tier": "auto",
            "safety_identifier": "s",
        },
        {
            "parallel_tool_calls": True,
            "prompt_cache_key": "k",
            "reasoning_effort": "low",
            "something_new": [1],
        },
        {"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "frequency_penalty": 0, "tools": []},
        {"best_of": 1, "ignore_eos": False, "verbosity": "medium", "prediction": {"type": "content"}},
        {
            "presence_penalty": 0.0,
            "response_format": {"type": "text"},
            "tool_choice": "none",
            "modalities": ["text"],
        },
        {"n": None, "stop": None, "stream": None, "temperature": None, "max_tokens": None, "logprobs": None},
    ],
)
def test_harmless_fields_are_ignored(fields: dict[str, Any]) -> None:
    parse_chat(body(**fields))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_of", 2),
        ("best_of", True),
        ("min_tokens", 5),
        ("stop_token_ids", [5]),
        ("guided_json", {"type": "object"}),
        ("chat_template", "{{ messages }}"),
        ("continue_final_message", True),
        ("verbosity", "low"),
        ("web_search_options", {}),
        ("functions", [{}]),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
    ],
)
def test_fields_that_would_change_the_answer_are_refused(name: str, value: Any) -> None:
    error = refused(body(**{name: value}))
    assert error.param == name
    assert error.code == "unsupported_value"
    assert name in error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"logit_bias": {"five": 1}}, "logit_bias"),
        ({"logit_bias": {"-5": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias[5]"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"frequency_penalty": 2.1}, "frequency_penalty"),
        ({"presence_penalty": -2.1}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"seed": 2**64}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": "ten"}, "max_completion_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop[0]"),
        ({"stop": [5]}, "stop[0]"),
        ({"stream": "yes"}, "stream"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        (
            {"messages": [HELLO, {"role": "user", "content": [{"type": "text"}]}]},
            "messages[1].content[0].text",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"model": 5}, "model"),
    ],
)
def test_a_bad_value_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    error = refused(body(**fields))
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"{'a': 1}", b"[1]", b"5", b"null", b"\xff\xfe", b'{"model": "m"']
)
def test_what_is_no_json_object_says_so(raw: bytes) -> None:
    assert refused(raw).code == "invalid_json"


def test_fields_nobody_knows_are_named() -> None:
    request = parse_chat(body(user="u", something_new=[1], **{"evil\r\nX-Key: 1": 1}))
    assert request.ignored == ["?", "something_new"]


def test_an_error_does_not_repeat_the_prompt() -> None:
    error = refused(body(messages=[{"role": "user", "content": [{"type": "text", "text": ["my secret"]}]}]))
    assert "secret" not in str(error.envelope())


NAMES = st.sampled_from(
    ["model", "messages", "role", "content", "type", "text", "image_url", "url", "stop", "n", "tools"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_parses_or_is_a_400(raw: bytes) -> None:
    try:
        parse_chat(raw)
    except ApiError as refusal:
        status, envelope = refusal.status, json.dumps(refusal.envelope())
    else:
        return
    assert status == 400
    assert '"message"' in envelope


def test_wishes_go_over_the_models_defaults() -> None:
    defaults = Defaults(temperature=0.7, top_p=0.9, top_k=20, min_p=0.1)
    said = sampling_params(parse_chat(body()), defaults, room=50)
    assert (said.temperature, said.top_p, said.top_k, said.min_p, said.max_tokens) == (0.7, 0.9, 20, 0.1, 50)
    wishes = {
        "temperature": 0,
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0,
        "max_tokens": 9,
        "stop": "x",
        "seed": 3,
    }
    said = sampling_params(parse_chat(body(**wishes)), defaults, room=50)
    assert (said.temperature, said.top_p, said.top_k, said.min_p, said.max_tokens) == (0, 1, 0, 0, 9)
    assert (said.stop, said.seed) == (("x",), 3)


def test_the_newer_name_of_the_token_limit_wins_and_the_context_bounds_it() -> None:
    request = parse_chat(body(max_tokens=5, max_completion_tokens=7))
    assert sampling_params(request, Defaults(), room=100).max_tokens == 7
    assert sampling_params(request, Defaults(), room=6).max_tokens == 6
