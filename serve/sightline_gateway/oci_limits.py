"""What Oracle's service takes of a request: checked here, as its own refusal comes after 5 MB were sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sightline_gateway.oci_params import MOST_ANSWER_TOKENS, MOST_PICTURE_BYTES

_KINDS = ("data:image/png;base64,", "data:image/jpeg;base64,")
_LENGTHS = ("max_tokens", "max_completion_tokens")


def capped(request: Mapping[str, Any]) -> dict[str, int]:
    """How many tokens to ask for, as entries of the request that replace its own."""
    asked = {name: request[name] for name in _LENGTHS if isinstance(request.get(name), int)}
    return {name: min(value, MOST_ANSWER_TOKENS) for name, value in asked.items()} or {
        "max_tokens": MOST_ANSWER_TOKENS
    }


def objection(messages: Any) -> str:
    """Why the service would refuse these messages, "" where it would not."""
    for url in _pictures(messages):
        kind = next((start for start in _KINDS if url.startswith(start)), None)
        if kind is None:
            return (
                "this service takes pictures as data URLs of PNG or JPEG (data:image/png;base64,...); "
                f"this one begins with {url[:24]!r}"
            )
        size = (len(url) - len(kind)) * 3 // 4 - url[-2:].count("=")
        if size > MOST_PICTURE_BYTES:
            return f"a picture has {size:,} bytes, and this service takes up to {MOST_PICTURE_BYTES:,}"
    return ""


def _pictures(messages: Any) -> Iterator[str]:
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else []:
            if isinstance(part, Mapping) and part.get("type") == "image_url":
                told = part.get("image_url")
                yield str(told.get("url") if isinstance(told, Mapping) else told)
