"""Answers as OpenAI's API writes them, a file a route: whole, or as server-sent events."""

from __future__ import annotations

from sightline_serve.reply.base import Reply
from sightline_serve.reply.chat import ChatReply
from sightline_serve.reply.completions import CompletionReply
from sightline_serve.reply.responses import ResponsesReply

__all__ = ["ChatReply", "CompletionReply", "Reply", "ResponsesReply"]
