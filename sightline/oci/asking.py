"""Ask the model about a picture with Oracle's SDK: the shortest way that works."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from oci.generative_ai_inference import GenerativeAiInferenceClient
from oci.generative_ai_inference.models import (
    ChatDetails,
    GenericChatRequest,
    ImageContent,
    ImageUrl,
    OnDemandServingMode,
    SystemMessage,
    TextContent,
    UserMessage,
)
from oci.util import to_dict

from sightline.oci.access import Access
from sightline.oci.faults import told


@dataclass(frozen=True)
class Question:
    """What is asked. `picture` is a data URL; `temperature` None leaves it to the service."""

    picture: str
    text: str
    model: str
    system: str = ""
    most_tokens: int = 1000
    temperature: float | None = None

    def details(self, compartment: str, stream: bool) -> Any:
        """The request as the SDK wants it."""
        user = UserMessage(
            content=[TextContent(text=self.text), ImageContent(image_url=ImageUrl(url=self.picture))]
        )
        system = [SystemMessage(content=[TextContent(text=self.system)])] if self.system else []
        return ChatDetails(
            compartment_id=compartment,
            serving_mode=OnDemandServingMode(model_id=self.model),
            chat_request=GenericChatRequest(
                messages=[*system, user],
                max_tokens=self.most_tokens,
                temperature=self.temperature,
                is_stream=stream,
            ),
        )


def ask(access: Access, question: Question, warn: Callable[[str], None], tries: int = 4) -> dict[str, Any]:
    """The whole answer at once: the article's fields as the SDK names them, without those that are empty.

    `warn` is told when the service says that the model will be retired. Raises OciTrouble.
    """
    client = access.client(GenerativeAiInferenceClient, tries)
    with told(question.model, access.region):
        response = client.chat(question.details(access.compartment, stream=False))
    _tell_retirement(response, warn)
    fields: dict[str, Any] = _filled(to_dict(response.data))
    return fields


def ask_streamed(
    access: Access, question: Question, warn: Callable[[str], None], tries: int = 4
) -> Iterator[str]:
    """The answer's pieces as they come; `warn` as in `ask`. Raises OciTrouble."""
    client = access.client(GenerativeAiInferenceClient, tries)
    with told(question.model, access.region):
        response = client.chat(question.details(access.compartment, stream=True))
        _tell_retirement(response, warn)
        for event in response.data.events():
            for part in (json.loads(event.data).get("message") or {}).get("content") or []:
                yield part.get("text") or ""


def _tell_retirement(response: Any, warn: Callable[[str], None]) -> None:
    """The header comes once a model is deprecated (release note of 10 July 2025)."""
    if retires := response.headers.get("model-retirement-info"):
        warn(f"the service says that the model will be retired: {retires}")


def _filled(value: Any) -> Any:
    """Without what is None, at any depth."""
    if isinstance(value, dict):
        return {name: _filled(inner) for name, inner in value.items() if inner is not None}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value
