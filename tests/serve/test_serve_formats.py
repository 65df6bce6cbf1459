"""response_format with the official client against the real process."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from tests.serve.drawing import ask, data_url, encoded
from tests.serve.server_process import ServerProcess
from tests.serve.sights import drawn

DESCRIBE = "Describe the shape as JSON with the keys color and shape."
# The questions of the deployed systems: a drink's label, and a bar chart.
LABEL = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "diet_friendly": {"type": "boolean"},
        "calories": {"type": "integer", "minimum": 0, "maximum": 2000},
        "sugar_grams": {"type": ["number", "null"], "minimum": 0, "maximum": 500, "multipleOf": 0.5},
        "ingredients": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 4},
    },
    "required": ["name", "diet_friendly", "calories", "sugar_grams", "ingredients"],
    "additionalProperties": False,
}
CHART = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 20},
        "bars": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/bar"}},
    },
    "required": ["title", "bars"],
    "additionalProperties": False,
    "$defs": {
        "bar": {
            "type": "object",
            "properties": {
                "label": {"enum": ["2023", "2024", "2025"]},
                "value": {"type": "integer", "minimum": 0, "maximum": 100},
            },
            "required": ["label", "value"],
            "additionalProperties": False,
        }
    },
}


def form(schema: dict[str, Any], name: str = "answer") -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


@pytest.mark.parametrize("schema", [LABEL, CHART], ids=["label", "chart"])
def test_the_systems_schemas_hold_for_a_model_that_talks_nonsense(
    keyed: ServerProcess, schema: dict[str, Any]
) -> None:
    request = ask(
        "?", data_url(), temperature=1.0, seed=4, max_tokens=1500, response_format=form(schema), n=3
    )
    choices = keyed.client().chat.completions.create(**request).choices
    for choice in choices:
        assert choice.finish_reason == "stop"
        jsonschema.validate(json.loads(choice.message.content or ""), schema)
    assert len({choice.message.content for choice in choices}) == 3
    streamed = ["", "", ""]
    for chunk in keyed.client().chat.completions.create(**request, stream=True):
        for one in chunk.choices:
            streamed[one.index] += one.delta.content or ""
    assert streamed == [choice.message.content for choice in choices]


def test_a_crowd_of_schemas_and_free_answers(keyed: ServerProcess) -> None:
    """Side by side in one batch, each held to its own schema and to no other."""
    free = ask("hello", max_tokens=60)
    wants = [form({"enum": [word * 9]}) for word in ("yes", "no", "red")]
    requests = [free, *(ask("hello", response_format=want) for want in wants)] * 3

    def said(request: dict[str, Any]) -> str | None:
        return keyed.client().chat.completions.create(**request).choices[0].message.content

    alone = said(free)
    with ThreadPoolExecutor(12) as clients:
        found = list(clients.map(said, requests))
    assert found == [alone, *(f'"{word * 9}"' for word in ("yes", "no", "red"))] * 3


def test_any_object_and_an_answer_that_is_cut(keyed: ServerProcess) -> None:
    request = ask("hello", temperature=1.0, seed=1, response_format={"type": "json_object"}, max_tokens=3)
    choice = keyed.client().chat.completions.create(**request).choices[0]
    assert (choice.message.content or "").startswith("{")
    assert choice.finish_reason == "length"


@pytest.mark.parametrize(
    ("wanted", "param", "said"),
    [
        (form({"type": "object", "not": {}}), "response_format", '"not"'),
        (form({"type": "string", "pattern": "("}), "response_format", "regex"),
        ({"type": "yaml"}, "response_format", "json_schema"),
        ({"type": "json_schema"}, "response_format.json_schema", "required"),
        (
            {"type": "json_schema", "json_schema": {"name": "x"}},
            "response_format.json_schema.schema",
            "required",
        ),
        (form({}, name="no spaces"), "response_format.json_schema.name", "pattern"),
    ],
)
def test_a_form_that_is_none_is_a_400(keyed: ServerProcess, wanted: Any, param: str, said: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        keyed.client().chat.completions.create(**ask("x", response_format=wanted))
    assert caught.value.param == param
    assert said in caught.value.message


def test_health_answers_while_a_hostile_schema_is_tried(keyed: ServerProcess) -> None:
    hostile = form({"allOf": [{"type": "string", "pattern": f".*{i}.*"} for i in range(20)]})
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(keyed.post, ask("x", response_format=hostile))
        while not answer.done():
            assert keyed.get("/health").status_code == 200
        assert answer.result().status_code == 400
    assert "make it simpler" in answer.result().json()["error"]["message"]


@pytest.fixture(scope="module")
def server(start: Callable[..., ServerProcess], canary: Path) -> ServerProcess:
    return start(canary)


class Seen(BaseModel):
    color: str
    shape: str


def test_the_canary_is_right_in_the_schemas_words(server: ServerProcess) -> None:
    for colour, shape in (("green", "triangle"), ("red", "circle"), ("blue", "square")):
        request = ask(DESCRIBE, data_url(encoded(drawn(colour, shape))), max_tokens=60)
        parsed = server.client().chat.completions.parse(**request, response_format=Seen)
        assert parsed.choices[0].finish_reason == "stop"
        assert parsed.choices[0].message.parsed == Seen(color=colour, shape=shape)
        # Neither is what the model would say: the form decides.
        other = {
            "type": "object",
            "properties": {"color": {"enum": ["pink", "mauve"]}},
            "required": ["color"],
        }
        said = server.client().chat.completions.create(**request, response_format=form(other))
        assert json.loads(said.choices[0].message.content or "")["color"] in ("pink", "mauve")
