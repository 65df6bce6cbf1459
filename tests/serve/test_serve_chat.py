"""Messages to prompt: order, forms of content, and nothing dropped on the way."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest
from sightline_serve.chat import Template, Turn, read
from sightline_serve.errors import ApiError
from sightline_serve.schema import parse_chat

from tests.serve.tiny_llava import TEMPLATE

STRINGS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
LLAVA_LIKE = (
    "{% for m in messages %}{{ m['role'].upper() }}: "
    "{% for part in m['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in m['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}{% endfor %}"
)
SYSTEM_AS_STRING = (
    "{% for m in messages %}{{ m['role'] }}: "
    "{% if m['role'] == 'system' %}{{ m['content'] | trim }}"
    "{% else %}{% for part in m['content'] %}"
    "{{ part['text'] if part['type'] == 'text' else '<image>' }}{% endfor %}"
    "{% endif %}\n{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages if m['role'] != 'system' %}"
    "{% for p in m['content'] %}{{ p['text'] }}{% endfor %}{% endfor %}"
)
PICKY = (
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('user first, please') }}{% endif %}" + TEMPLATE
)
DROPS_PICTURES = (
    "{% for m in messages %}{% for p in m['content'] if p['type'] == 'text' %}{{ p['text'] }}"
    "{% endfor %}{% endfor %}"
)


def template(source: str) -> Template:
    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    compiled = jinja2.Environment().from_string(source)

    def render(turns: list[Turn], tools: Any = None) -> str:
        return compiled.render(
            messages=turns, tools=tools, add_generation_prompt=True, raise_exception=raise_exception
        )

    return Template(render, "<image>")


def conversation(*messages: dict[str, Any]) -> Any:
    return read(parse_chat(json.dumps({"model": "m", "messages": messages}).encode()).messages)


def picture(name: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": name}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


TALK = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [picture("one"), text("first?"), picture("two")]},
    {"role": "assistant", "content": "red"},
    {"role": "user", "content": [text("and this?"), picture("three")]},
)


def test_pictures_keep_their_order_and_know_their_place() -> None:
    pictures = conversation(*TALK).pictures
    assert [(ref.number, ref.url, ref.where) for ref in pictures] == [
        (1, "one", "messages[1].content[0]"),
        (2, "two", "messages[1].content[2]"),
        (3, "three", "messages[3].content[1]"),
    ]


def test_a_whole_talk_in_chatml() -> None:
    assert template(TEMPLATE)(conversation(*TALK)) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<image>first?<image><|im_end|>\n"
        "<|im_start|>assistant\nred<|im_end|>\n"
        "<|im_start|>user\nand this?<image><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("source", [TEMPLATE, LLAVA_LIKE, SYSTEM_AS_STRING])
def test_every_text_and_picture_reaches_the_prompt(source: str) -> None:
    prompt = template(source)(conversation(*TALK))
    assert prompt.count("<image>") == 3
    assert all(said in prompt for said in ("Be brief.", "first?", "red", "and this?"))
    assert "'type'" not in prompt


def test_a_template_of_strings_gets_strings() -> None:
    made = template(STRINGS)
    assert made.plain == {"system", "user", "assistant", "tool"}
    assert made(conversation({"role": "user", "content": [text("a"), text("b")]})) == "user: a\nb\n"


def test_a_developer_is_a_system_message() -> None:
    assert conversation({"role": "developer", "content": "x"}).turns[0]["role"] == "system"


def refused(source: str, *messages: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        template(source)(conversation(*messages))
    assert caught.value.status == 400
    return caught.value


def test_a_placeholder_in_the_text_is_refused() -> None:
    error = refused(TEMPLATE, {"role": "user", "content": "what is in <image>?"})
    assert error.code == "placeholder_mismatch"
    assert "1 placeholders (<image>) for 0 pictures" in error.message


def test_a_template_that_drops_pictures_is_found_out() -> None:
    error = refused(DROPS_PICTURES, {"role": "user", "content": [picture("one"), text("what?")]})
    assert error.code == "placeholder_mismatch"
    assert "0 placeholders" in error.message


def test_a_template_that_drops_a_text_is_found_out() -> None:
    error = refused(NO_SYSTEM, *TALK[:1], {"role": "user", "content": "hello"})
    assert "drops text of messages[0] (role system)" in error.message


def test_a_template_that_refuses_is_quoted() -> None:
    assert "user first, please" in refused(PICKY, *TALK[:1]).message


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_pictures_outside_user_messages_are_refused(role: str) -> None:
    with pytest.raises(ApiError, match=r"messages\[0\]\.content\[0\]") as caught:
        conversation({"role": role, "content": [picture("x")]})
    assert caught.value.status == 400
