"""Tool calls: both forms that templates write, in and out, alone and with the official client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sightline_serve import tools
from sightline_serve.errors import ApiError
from sightline_serve.grammars import compiling
from sightline_serve.tools import Call, Reader, Style
from sightline_serve.vocabulary import Vocabulary

from tests.serve import tiny_llava
from tests.serve.drawing import ask, data_url
from tests.serve.server_process import ServerProcess
from tests.serve.test_serve_chat import conversation, template
from tests.serve.test_serve_grammars import said, sentence, vocabulary
from tests.serve.tiny_llava import TEMPLATE

__all__ = ["vocabulary"]

TAGGED = (
    "{% if tools %}<|im_start|>system\nTools:{% for tool in tools %} {{ tool | tojson }}{% endfor %}"
    "<|im_end|>\n{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}<tool_call>\n"
    "{\"name\": \"{{ call['function']['name'] }}\", "
    "\"arguments\": {{ call['function']['arguments'] | tojson }}}"
    "\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BARE = (
    TAGGED.replace("<tool_call>\n", "")
    .replace("\n</tool_call>", "")
    .replace('"arguments": ', '"parameters": ')
)
OTHER = TAGGED.replace('{"name": ', "[CALL] ").replace(', "arguments": ', " ")

WITH_TAGS = Style("<tool_call>\n", "\n</tool_call>", "arguments")
WITHOUT = Style("", "", "parameters")


def test_a_template_shows_its_form() -> None:
    assert template(TAGGED).tool_style == WITH_TAGS
    assert template(BARE).tool_style == WITHOUT
    assert template(OTHER).tool_style is None  # it has tools, in a form that nobody could read
    assert template(TEMPLATE).tool_style is None


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
TALK = (
    {"role": "user", "content": "what is up?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "a cloud"},
)


def test_calls_and_their_results_reach_the_prompt() -> None:
    prompt = template(TAGGED)(conversation(*TALK))
    assert '<tool_call>\n{"name": "look", "arguments": {"at": "sky"}}\n</tool_call>' in prompt
    assert "<|im_start|>tool\na cloud<|im_end|>" in prompt


def test_a_template_that_drops_calls_is_found_out() -> None:
    with pytest.raises(ApiError, match=r"drops the tool calls of messages\[1\]"):
        template(TEMPLATE)(conversation(*TALK))


def test_arguments_that_are_no_object_are_refused() -> None:
    broken = {**CALL, "function": {"name": "look", "arguments": "sky"}}
    with pytest.raises(ApiError, match=r"messages\[0\]\.tool_calls\[0\]\.function\.arguments"):
        conversation({"role": "assistant", "content": "x", "tool_calls": [broken]})


def read(style: Style, *pieces: str) -> list[str | Call]:
    """What is told, with texts that follow each other put together."""
    reader = Reader(style)
    told: list[str | Call] = []
    for part in [*(part for piece in pieces for part in reader.push(piece)), *reader.flush()]:
        if told and isinstance(part, str) and isinstance(told[-1], str):
            told[-1] += part
        else:
            told.append(part)
    return told


LOOK = '{"name": "look", "arguments": {"at": "sky"}}'
A_CALL = Call("look", '{"at": "sky"}')


@given(st.data())
def test_calls_are_read_however_the_text_is_cut(data: st.DataObject) -> None:
    text = f"I look. <tool_call>\n{LOOK}\n</tool_call>\n<tool_call>\n{LOOK}\n</tool_call>"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(WITH_TAGS, *pieces) == ["I look. ", A_CALL, A_CALL]


def test_what_is_no_call_stays_text() -> None:
    assert read(WITH_TAGS, "a <tool", "box> b") == ["a <toolbox> b"]
    assert read(WITH_TAGS, "<tool_call>\n{nonsense}\n</tool_call>") == [
        "<tool_call>\n{nonsense}\n</tool_call>"
    ]
    assert read(WITH_TAGS, '<tool_call>\n{"name": "lo') == ['<tool_call>\n{"name": "lo']
    assert read(WITHOUT, '{"na', 'me": 5}') == ['{"name": 5}']
    assert read(WITHOUT, "hel", "lo {") == ["hello {"]
    assert read(WITHOUT, '{"name": "look", "parameters"', ': {"at": "sky"}}') == [A_CALL]


OFFERED = [
    ("count", {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
               "required": ["n"], "additionalProperties": False}),
    ("name_it", {"type": "object", "properties": {"word": {"$ref": "#/$defs/w"}}, "required": ["word"],
                 "additionalProperties": False, "$defs": {"w": {"enum": ["cat", "dog"]}}}),
]  # fmt: skip


@pytest.mark.parametrize("style", [WITH_TAGS, WITHOUT], ids=["tagged", "bare"])
@pytest.mark.parametrize("seed", range(6))
def test_a_blind_model_that_must_call_calls_rightly(vocabulary: Vocabulary, style: Style, seed: int) -> None:
    wanted = tools.grammar(style, OFFERED, must=True, several=False)
    text = said(sentence(vocabulary, compiling._build(vocabulary.table, wanted), 500, seed))
    (call,) = read(style, text)
    assert isinstance(call, Call)
    jsonschema.validate(json.loads(call.arguments), dict(OFFERED)[call.name])


@pytest.mark.parametrize("style", [WITH_TAGS, WITHOUT], ids=["tagged", "bare"])
def test_a_model_that_may_call_may_say_anything_but_a_broken_call(
    vocabulary: Vocabulary, style: Style
) -> None:
    def takes(text: str) -> bool:
        made = compiling._build(vocabulary.table, wanted).guide()
        ids = vocabulary.encode(text, False)
        return bool(made.matcher.try_consume_tokens(ids) == len(ids) and made.matcher.is_accepting())

    wanted = tools.grammar(style, OFFERED, must=False, several=True)
    call = f'{style.start}{{"name": "count", "{style.key}": {{"n": 7}}}}{style.end}'
    assert takes("Seven, I think. 3 < 4.")
    assert takes(call)
    assert not takes(call.replace("7", '"seven"'))
    assert not takes(call.replace("count", "rm"))
    if style.start:
        assert takes(f"Let me count. {call}\n{call} Done.")
        wanted = tools.grammar(style, OFFERED, must=False, several=False)
        assert not takes(f"{call}\n{call}")


@pytest.fixture(scope="module")
def server(start: Callable[..., ServerProcess], tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    return start(tiny_llava.build(tmp_path_factory.mktemp("tools"), template=TAGGED))


TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": form}} for name, form in OFFERED]


def test_calls_with_the_official_client(server: ServerProcess) -> None:
    request = ask(
        "?", data_url(), tools=TOOLS, tool_choice="required", temperature=1.0, seed=3, max_tokens=300
    )
    request["parallel_tool_calls"] = False
    answer = server.client().chat.completions.create(**request).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert call.type == "function"
    jsonschema.validate(json.loads(call.function.arguments), dict(OFFERED)[call.function.name])
    with server.client().chat.completions.stream(**request) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert streamed.message.tool_calls is not None
    assert streamed.message.tool_calls[0].function.arguments == call.function.arguments
    # The talk goes on with the call and what came of it.
    messages = [
        *request["messages"], answer.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "done"},
    ]  # fmt: skip
    more = server.client().chat.completions.create(
        model="test-model", messages=messages, tools=TOOLS, max_tokens=5
    )
    assert more.usage is not None
    assert more.usage.prompt_tokens > 100


def test_the_named_tool_is_the_one(server: ServerProcess) -> None:
    for name, _ in OFFERED:
        choice = {"type": "function", "function": {"name": name}}
        request = ask("?", tools=TOOLS, tool_choice=choice, temperature=1.0, max_tokens=300)
        message = server.client().chat.completions.create(**request).choices[0].message
        assert message.tool_calls is not None
        assert [call.function.name for call in message.tool_calls if call.type == "function"] == [name]


def test_no_tool_is_called_where_none_may_be(server: ServerProcess) -> None:
    free = ask("hello", max_tokens=20)
    without = server.client().chat.completions.create(**free)
    none = server.client().chat.completions.create(**free, tools=TOOLS, tool_choice="none")
    assert none.choices[0].message == without.choices[0].message
    offered = server.client().chat.completions.create(**free, tools=TOOLS)
    assert offered.usage is not None
    assert without.usage is not None
    assert offered.usage.prompt_tokens > without.usage.prompt_tokens  # the template has shown them


def test_what_cannot_be_called_is_a_400(server: ServerProcess, keyed: ServerProcess) -> None:
    other = {"type": "function", "function": {"name": "other"}}
    bad = [{"type": "function", "function": {"name": "x", "parameters": {"type": "strin"}}}]
    for where, fields, why in (
        (keyed, {"tools": TOOLS}, "template has no tools"),
        (server, {"tools": TOOLS, "tool_choice": other}, "names no function"),
        (server, {"tools": bad}, "strin"),
        (server, {"tools": TOOLS, "response_format": {"type": "json_object"}}, "may call tools"),
    ):
        with pytest.raises(openai.BadRequestError, match=why):
            where.client().chat.completions.create(**ask("x", **fields))
