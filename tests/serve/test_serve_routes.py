"""/v1/completions, /v1/responses, /tokenize and the description, with the official client where it can."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from PIL import Image
from sightline_serve.detail import at_detail

from tests.serve.drawing import ask, data_url, disc, encoded
from tests.serve.server_process import ServerProcess
from tests.serve.test_serve_formats import CHART

URL = data_url()


def post(server: ServerProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(
        server.base + path, headers=server.headers, json={"model": "test-model", **body}, timeout=240
    )


# /v1/completions


def test_a_text_is_gone_on_with(keyed: ServerProcess) -> None:
    client = keyed.client()
    answer = client.completions.create(model="test-model", prompt="Once upon", max_tokens=9)
    assert answer.object == "text_completion"
    (choice,) = answer.choices
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    # The random model's tokenizer has one token a byte and puts nothing around a text.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 9)
    chunks = list(
        client.completions.create(
            model="test-model", prompt="Once upon", max_tokens=9, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == choice.text
    assert chunks[-1].usage == answer.usage
    assert client.completions.create(model="test-model", prompt="x").usage.completion_tokens == 16  # type: ignore[union-attr]


def test_several_prompts_keep_their_numbers(keyed: ServerProcess) -> None:
    create = keyed.client().completions.create
    texts = [create(model="test-model", prompt=one, max_tokens=8).choices[0].text for one in ("a", "bcd")]
    answer = create(model="test-model", prompt=["a", "bcd"], max_tokens=8, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == [texts[0], texts[0], texts[1], texts[1]]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1 + 3, 4 * 8)


def test_log_probabilities_in_the_older_form(keyed: ServerProcess) -> None:
    bias = {str(70 + letter): 60 for letter in range(12)}
    answer = keyed.client().completions.create(
        model="test-model", prompt="ab", max_tokens=5, logprobs=2, logit_bias=bias
    )
    found = answer.choices[0].logprobs
    assert found is not None
    assert "".join(found.tokens or []) == answer.choices[0].text
    assert found.text_offset == [0, 1, 2, 3, 4]
    assert all(value <= 0 for value in found.token_logprobs or [])
    assert all(0 < len(top) <= 2 for top in found.top_logprobs or [])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [5, 6]}, "prompt"),
        ({"prompt": [[5, 6]]}, "prompt"),
        ({"prompt": ""}, "prompt[0]"),
        ({"prompt": []}, "prompt"),
        ({"prompt": "x", "echo": True}, "echo"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": "x", "logprobs": 6}, "logprobs"),
        ({"prompt": "look at <image>"}, "prompt"),
        ({"prompt": ["x"] * 33, "n": 2}, "n"),
    ],
)
def test_what_completions_do_not_take_is_named(
    keyed: ServerProcess, fields: dict[str, Any], param: str
) -> None:
    response = post(keyed, "/v1/completions", **fields)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


# /v1/responses


def picture_item(*urls: str) -> list[dict[str, Any]]:
    pictures = [{"type": "input_image", "image_url": url, "detail": "auto"} for url in urls]
    return [{"role": "user", "content": [*pictures, {"type": "input_text", "text": "hello"}]}]


def test_a_response_is_the_chat_answer(keyed: ServerProcess) -> None:
    client = keyed.client()
    chat = client.chat.completions.create(**ask("hello", URL, max_tokens=16))
    answer = client.responses.create(model="test-model", input=picture_item(URL), max_output_tokens=16)  # type: ignore[arg-type]
    assert answer.output_text == chat.choices[0].message.content
    assert (answer.status, answer.object) == ("incomplete", "response")
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert chat.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (chat.usage.prompt_tokens, 16)
    assert answer.model_dump()["store"] is False


def test_instructions_are_a_system_message_and_a_talk_is_a_talk(keyed: ServerProcess) -> None:
    talk = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"role": "user", "content": "more"},
    ]
    plain = [{"role": "assistant" if one["role"] == "assistant" else "user", "content": said}
             for one, said in zip(talk, ("hello", "hi", "more"), strict=True)]  # fmt: skip
    chat = keyed.client().chat.completions.create(
        model="test-model",
        max_tokens=9,
        messages=[{"role": "system", "content": "Be brief."}, *plain],  # type: ignore[list-item]
    )
    answer = keyed.client().responses.create(
        model="test-model",
        input=talk,
        instructions="Be brief.",
        max_output_tokens=9,  # type: ignore[arg-type]
    )
    assert answer.output_text == chat.choices[0].message.content
    assert answer.instructions == "Be brief."


def test_events_come_in_the_references_order(keyed: ServerProcess) -> None:
    with keyed.client().responses.stream(model="test-model", input="hello", max_output_tokens=9) as stream:
        events = list(stream)
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.incomplete",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    whole = keyed.client().responses.create(model="test-model", input="hello", max_output_tokens=9)
    assert text == events[-1].response.output_text == whole.output_text  # type: ignore[union-attr]


def test_a_response_in_a_schema(keyed: ServerProcess) -> None:
    form = {"type": "json_schema", "name": "chart", "schema": CHART, "strict": True}
    answer = keyed.client().responses.create(
        model="test-model", input=picture_item(URL), temperature=1.0, max_output_tokens=1500,  # type: ignore[arg-type]
        text={"format": form}, top_logprobs=1, include=["message.output_text.logprobs"],  # type: ignore[typeddict-item]
    )  # fmt: skip
    assert answer.status == "completed"
    jsonschema.validate(json.loads(answer.output_text), CHART)
    content = answer.output[0].content[0]  # type: ignore[union-attr]
    raw = b"".join(bytes(one.bytes) for one in content.logprobs)  # type: ignore[union-attr]
    assert raw.decode() == answer.output_text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"input": "x", "background": True}, "background"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools"),
        ({"input": "x", "truncation": "auto"}, "truncation"),
        ({"input": "x", "n": 2}, "n"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
         "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "/etc/passwd"}]}]},
         "input[0].content[0]"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "name": "x", "schema": {"not": {}}}}},
         "text.format"),
        ({"input": "x", "text": {"format": {"type": "yaml"}}}, "text.format"),
        ({"input": "x", "text": {"verbosity": "low"}}, "text.verbosity"),
        ({"input": "x", "include": ["reasoning.encrypted_content"]}, "include[0]"),
    ],
)  # fmt: skip
def test_what_responses_do_not_take_is_named(
    keyed: ServerProcess, fields: dict[str, Any], param: str
) -> None:
    response = post(keyed, "/v1/responses", **fields)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


def test_harmless_fields_of_responses_are_ignored(keyed: ServerProcess) -> None:
    answer = keyed.client().responses.create(
        model="test-model", input="x", max_output_tokens=1, store=True, metadata={"a": "b"},
        reasoning={"effort": "low"}, truncation="disabled", parallel_tool_calls=True,
    )  # fmt: skip
    assert answer.metadata == {"a": "b"}


# /tokenize and /detokenize


def test_tokens_there_and_back(keyed: ServerProcess) -> None:
    made = post(keyed, "/tokenize", prompt="añ b").json()
    assert made["count"] == len(made["tokens"]) == len("añ b".encode())
    assert post(keyed, "/detokenize", tokens=made["tokens"]).json() == {"prompt": "añ b"}
    asked = ask("hello", URL)
    talk = post(keyed, "/tokenize", messages=asked["messages"]).json()
    usage = keyed.client().chat.completions.create(**asked, max_tokens=1).usage
    assert usage is not None
    assert talk["count"] == usage.prompt_tokens


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "x", "messages": [{"role": "user", "content": "x"}]}, "prompt"),
        ("/tokenize", {"prompt": "x" * 900_000}, "messages"),
        ("/detokenize", {"tokens": [1, 9999]}, "tokens[1]"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {}, "tokens"),
    ],
)
def test_what_these_do_not_take_is_named(
    keyed: ServerProcess, path: str, fields: dict[str, Any], param: str
) -> None:
    response = post(keyed, path, **fields)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


# image_url.detail


def test_low_detail_is_a_smaller_picture_of_the_same_shape() -> None:
    assert at_detail(Image.new("RGB", (2048, 1024)), "low").size == (512, 256)
    assert at_detail(Image.new("RGB", (100, 50)), "low").size == (100, 50)
    for detail in (None, "auto", "high", "original"):
        assert at_detail(Image.new("RGB", (2048, 1024)), detail).size == (2048, 1024)  # type: ignore[arg-type]


def test_detail_reaches_the_picture_and_others_are_refused(keyed: ServerProcess) -> None:
    gradient = Image.linear_gradient("L").resize((1500, 900)).convert("RGB")
    gradient.paste(disc("red", 401), (7, 11))
    url, small = data_url(encoded(gradient)), data_url(encoded(at_detail(gradient.copy(), "low")))

    def said(url: str, detail: str) -> Any:
        part = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        request = {"model": "test-model", "max_tokens": 8, "messages": [{"role": "user", "content": [part]}]}
        return keyed.post(request)

    assert said(url, "low").json()["choices"] == said(small, "high").json()["choices"]
    assert said(data_url(encoded(disc())), "tiny").json()["error"]["param"] == (
        "messages[0].content[0].image_url.detail"
    )


# The description


def test_every_route_is_described_with_its_requests_answers_and_errors(keyed: ServerProcess) -> None:
    page = keyed.get("/openapi.json", headers=keyed.headers).json()
    known = page["components"]["schemas"]

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        return known[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return found.union(*(references(value) for value in node.values()))
        return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()

    assert {reference.rpartition("/")[2] for reference in references(page)} <= set(known)
    for path, wanted in {
        "/v1/chat/completions": {"messages", "response_format", "tools", "n"},
        "/v1/completions": {"prompt", "logprobs"},
        "/v1/responses": {"input", "instructions", "text"},
        "/tokenize": {"prompt", "messages"},
        "/detokenize": {"tokens"},
    }.items():
        route = page["paths"][path]["post"]
        body = resolved(route["requestBody"]["content"]["application/json"]["schema"])
        assert wanted <= set(body["properties"])
        assert {"200", "400", "401", "404", "413", "429", "503"} <= set(route["responses"])
        assert "422" not in route["responses"]
    asked = ask("hello", max_tokens=2)
    body = {**known["ChatRequest"], "components": page["components"]}
    jsonschema.validate(asked, body)
    answered = {**known["ChatCompletion"], "components": page["components"]}
    jsonschema.validate(keyed.post(asked).json(), answered)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**asked, "n": 0}, body)


def test_other_routes_ask_for_the_key_and_the_model_too(keyed: ServerProcess) -> None:
    for path, body in (("/v1/completions", {"prompt": "x"}), ("/v1/responses", {"input": "x"})):
        assert httpx.post(keyed.base + path, json=body).status_code == 401
        assert post(keyed, path, **{**body, "model": "other"}).status_code == 404
    with pytest.raises(openai.NotFoundError):
        keyed.client().completions.create(model="other", prompt="x")
