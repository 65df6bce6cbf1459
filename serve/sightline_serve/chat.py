"""Messages become turns for the model's chat template, and a list of pictures in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sightline_serve import errors
from sightline_serve.schema import ImagePart, Message, TextPart

Turn = dict[
    str, Any
]  # {"role": ..., "content": [{"type": "text", "text": ...} | {"type": "image"}, ...] or a string}
Render = Callable[[list[Turn]], str]

PROBE = "sightlineprobe"


@dataclass(frozen=True)
class PictureRef:
    """Where a picture is to be had. `number` counts from 1 through the request; `where` is its place."""

    number: int
    where: str
    url: str


@dataclass(frozen=True)
class Conversation:
    turns: list[Turn]
    pictures: list[PictureRef]

    @property
    def characters(self) -> int:
        return sum(len(part.get("text", "")) for turn in self.turns for part in turn["content"])


def read(messages: list[Message]) -> Conversation:
    """Raises a 400 ApiError for a picture outside a user's message, which templates silently drop."""
    turns: list[Turn] = []
    pictures: list[PictureRef] = []
    for i, message in enumerate(messages):
        content: list[dict[str, str]] = []
        for j, part in enumerate(message.content):
            where = f"messages[{i}].content[{j}]"
            match part:
                case TextPart():
                    content.append({"type": "text", "text": part.text})
                case ImagePart() if message.role == "user":
                    pictures.append(PictureRef(len(pictures) + 1, where, part.image_url.url))
                    content.append({"type": "image"})
                case ImagePart():
                    raise errors.bad_request(
                        f"Pictures belong in user messages; {where} is in a {message.role} message.", where
                    )
        turns.append({"role": "system" if message.role == "developer" else message.role, "content": content})
    return Conversation(turns, pictures)


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
        for role in ("user", "system", "assistant"):  # the user first: the others are tried in its company
            if not self._carries(role, [_text(PROBE)]) and self._carries(role, PROBE):
                self.plain.add(role)

    def _carries(self, role: str, content: Any) -> bool:
        """Whether a text in this form comes through in a message of this role."""
        turns: list[Turn] = [{"role": role, "content": content}]
        if role != "user":
            question = {"role": "user", "content": self._shape("user", [_text("question")])}
            turns.insert(role == "system", question)
        try:
            text = self.render(turns)
        except Exception:  # a template may refuse what it does not know in any way it likes
            return False
        return PROBE in text and "'type'" not in text

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
            text = self.render(turns)
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


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
