"""Messages become turns for the model's chat template, and a list of pictures in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sightline_serve import errors
from sightline_serve.detail import Detail
from sightline_serve.schema import ImagePart, Message, TextPart
from sightline_serve.schema.tools import Tool, ToolCall
from sightline_serve.tools import EXAMPLE, NAME, Style, style_of

Turn = dict[
    str, Any
]  # {"role": ..., "content": [{"type": "text", "text": ...} | {"type": "image"}, ...] or a string}
Render = Callable[..., str]  # (turns) or, where tools are offered, (turns, tools)

PROBE = "sightlineprobe"
EXAMPLE_CALL = {"id": "call00000", "type": "function", "function": EXAMPLE}
EXAMPLE_TOOL = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "A probe",
        "parameters": {"type": "object", "properties": {"depth": {"type": "integer"}}},
    },
}


@dataclass(frozen=True)
class PictureRef:
    """Where a picture is to be had. `number` counts from 1 through the request; `where` is its place."""

    number: int
    where: str
    url: str
    detail: Detail | None = None


@dataclass(frozen=True)
class Conversation:
    turns: list[Turn]
    pictures: list[PictureRef]
    tools: list[dict[str, Any]] = field(default_factory=list)

    @property
    def characters(self) -> int:
        return sum(len(part.get("text", "")) for turn in self.turns for part in turn["content"])


def read(messages: list[Message], tools: Sequence[Tool] = (), root: str = "messages") -> Conversation:
    """`root` is what the request calls them.

    Raises a 400 ApiError for a picture outside a user's message, which templates silently drop.
    """
    turns: list[Turn] = []
    pictures: list[PictureRef] = []
    for i, message in enumerate(messages):
        content: list[dict[str, str]] = []
        for j, part in enumerate(message.content):
            where = f"{root}[{i}].content[{j}]"
            match part:
                case TextPart():
                    content.append({"type": "text", "text": part.text})
                case ImagePart() if message.role == "user":
                    asked = part.image_url
                    pictures.append(PictureRef(len(pictures) + 1, where, asked.url, asked.detail))
                    content.append({"type": "image"})
                case ImagePart():
                    raise errors.bad_request(
                        f"Pictures belong in user messages; {where} is in a {message.role} message.", where
                    )
        turn: Turn = {"role": "system" if message.role == "developer" else message.role, "content": content}
        if message.tool_calls:
            turn["tool_calls"] = [
                _call(call, f"messages[{i}].tool_calls[{j}]") for j, call in enumerate(message.tool_calls)
            ]
        if message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
        turns.append(turn)
    return Conversation(turns, pictures, [tool.turn() for tool in tools])


def _call(call: ToolCall, where: str) -> dict[str, Any]:
    """Templates write arguments as they are: they must be an object here, not its JSON."""
    try:
        arguments = json.loads(call.function.arguments)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        where = f"{where}.function.arguments"
        raise errors.bad_request(f"Invalid '{where}': it is no JSON object.", where, "invalid_value")
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": arguments},
    }


class Template:
    """A model's chat template, with the content form that each role needs.

    Some templates read a list of parts, some a plain string, and what they don't read they drop or print as
    Python source. So each role is tried once with a probe text, and the form that carries it through is
    kept.
    """

    def __init__(self, render: Render, placeholder: str) -> None:
        """`placeholder` is the text that stands for one picture in the rendered prompt, such as <image>."""
        self.render = render
        self.placeholder = placeholder
        self.plain: set[str] = set()
        for role in (
            "user",
            "system",
            "assistant",
            "tool",
        ):  # the user first: the others are tried in its company
            if not self._carries(role, [_text(PROBE)]) and self._carries(role, PROBE):
                self.plain.add(role)

    def _carries(self, role: str, content: Any) -> bool:
        """Whether a text in this form comes through in a message of this role."""
        turns: list[Turn] = [{"role": role, "content": content}]
        if role == "tool":
            turns.insert(0, {"role": "assistant", "content": "", "tool_calls": [EXAMPLE_CALL]})
        if role != "user":
            question = {"role": "user", "content": self._shape("user", [_text("question")])}
            turns.insert(role == "system", question)
        try:
            text = self.render(turns)
        except Exception:  # a template may refuse what it does not know in any way it likes
            return False
        return PROBE in text and "'type'" not in text

    @cached_property
    def tool_style(self) -> Style | None:
        """How this template writes a tool call; None where it knows none, or in no form that we know."""
        question: Turn = {"role": "user", "content": self._shape("user", [_text("question")])}
        calling: Turn = {"role": "assistant", "content": "", "tool_calls": [EXAMPLE_CALL]}
        try:
            shown = self.render([question], [EXAMPLE_TOOL])
            # With tools some templates print a user's parts as Python source, as Llama 3's do.
            if NAME not in shown or "'type'" in shown:
                return None
            return style_of(self.render([question, calling]))
        except Exception:
            return None

    def _shape(self, role: str, content: list[dict[str, str]]) -> Any:
        pictures = any(part["type"] == "image" for part in content)
        if role in self.plain and not pictures:
            return "\n".join(part["text"] for part in content)
        return content

    def __call__(self, conversation: Conversation) -> str:
        """The prompt as text. Raises a 400 ApiError if the template refuses or loses text or pictures."""
        turns = [
            {**turn, "content": self._shape(turn["role"], turn["content"])} for turn in conversation.turns
        ]
        try:
            text = self.render(turns, conversation.tools) if conversation.tools else self.render(turns)
        except Exception as error:
            why = str(error) if type(error).__name__ == "TemplateError" else type(error).__name__
            raise errors.bad_request(
                f"The model's chat template refused the messages: {why}", "messages"
            ) from None
        self._check(text, conversation)
        return text

    def _check(self, text: str, conversation: Conversation) -> None:
        found, wanted = text.count(self.placeholder), len(conversation.pictures)
        if found != wanted:
            raise errors.bad_request(
                f"The prompt would hold {found} placeholders ({self.placeholder}) for {wanted} pictures."
                " Leave the placeholder out of the text; send pictures as image_url parts.",
                "messages",
                "placeholder_mismatch",
            )
        for i, turn in enumerate(conversation.turns):
            for part in turn["content"]:
                if part.get("text", "").strip() not in text:
                    raise errors.bad_request(
                        f"The model's chat template drops text of messages[{i}] (role {turn['role']}).",
                        f"messages[{i}]",
                    )
            for call in turn.get("tool_calls", ()):
                if call["function"]["name"] not in text:
                    raise errors.bad_request(
                        f"The model's chat template drops the tool calls of messages[{i}].",
                        f"messages[{i}].tool_calls",
                    )


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
