"""The gate before vLLM's API: without a key nothing but /health answers.

vLLM's own --api-key guards /v1, /v2 and /inference only, and leaves /invocations, which does the same work,
/metrics, /tokenize and its pages open (`vllm serve --help=api-key` says so). Loaded by vLLM through
--middleware; standard library only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from sightline_start.keys import read_keys

FILE = "SIGHTLINE_API_KEY_FILE"
"""The variable that names the key file: a path, never a key."""
OPEN = ("/health",)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Gate:
    """ASGI middleware. Raises KeyError or StartError where there is no key to ask for: vLLM then ends."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.keys = [_digest(key.encode()) for key in read_keys(Path(os.environ[FILE]))]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan" or scope.get("path") in OPEN or self._known(scope):
            await self.app(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope.get("method") == "OPTIONS":
            # A browser asks without the key whether it may ask; what it then asks comes with the key.
            await self.app(scope, receive, send)
        else:
            await _refuse(send)

    def _known(self, scope: Message) -> bool:
        for name, value in scope.get("headers") or ():
            kind, _, key = bytes(value).partition(b" ")
            if name.lower() == b"authorization" and kind.lower() == b"bearer":
                given = _digest(key.strip())
                # Every key is compared, so that the time tells nothing.
                return any([hmac.compare_digest(given, known) for known in self.keys])
        return False


async def _refuse(send: Send) -> None:
    message = "An API key is needed: send it as 'Authorization: Bearer KEY'."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
