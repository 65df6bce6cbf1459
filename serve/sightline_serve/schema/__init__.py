"""What requests may say, a file a route. What changes no answer is ignored; what would is refused."""

from __future__ import annotations

from sightline_serve.schema.base import Sampling
from sightline_serve.schema.chat import ChatRequest, parse_chat
from sightline_serve.schema.parts import ImagePart, Message, TextPart

__all__ = ["ChatRequest", "ImagePart", "Message", "Sampling", "TextPart", "parse_chat"]
