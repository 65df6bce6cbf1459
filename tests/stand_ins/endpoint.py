"""Stands for an OpenAI-compatible server: real HTTP in front of a function that answers, on a free loopback
port.

It checks what it is sent (path, key, shape of the body) as strictly as a real server and answers 4xx for
the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from .liars import BrokenStream, Forward, Liar, ServerError
from .seeing_oracle import Body
from .serving import served

KEY = "sk-stand-in-4f1c9a"


@dataclass
class EndpointStandIn:
    """What the server does. `key` None asks for none; `models` None answers 404 to a listing."""

    forward: Forward
    liar: Liar = field(default_factory=Liar)
    key: str | None = KEY
    models: tuple[str, ...] | None = ("stand-in",)
    base_url: str = ""
    requests: list[Body] = field(default_factory=list)

    @contextmanager
    def serve(self) -> Iterator[EndpointStandIn]:
        """Listen until the block ends."""
        handler = type("Handler", (_Handler,), {"stand_in": self})
        with served(handler) as address:
            self.base_url = f"{address}/v1"
            yield self


def forward_to(base_url: str, key: str | None, model: str) -> Forward:
    """Hands requests on to a real endpoint and returns what it answers; raises for anything but an answer."""
    client = httpx.Client(
        headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=60, trust_env=False
    )

    def forward(body: Body) -> str:
        sent = {**body, "stream": False, "model": model}
        response = client.post(f"{base_url}/chat/completions", json=sent)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])

    return forward


class _Handler(BaseHTTPRequestHandler):
    stand_in: EndpointStandIn
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment per answer: unbuffered writes wait 40 ms for a delayed acknowledgement

    def do_GET(self) -> None:
        if self._unauthorised():
            return
        if self.path == "/v1/models" and self.stand_in.models is not None:
            self._send(200, {"object": "list", "data": [{"id": name} for name in self.stand_in.models]})
        else:
            self._send(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self._unauthorised():
            return
        body = json.loads(raw)
        self.stand_in.requests.append(body)
        problem = _problem(self.path, body, self.stand_in.models)
        if problem:
            self._send(problem[0], {"error": {"message": problem[1]}})
            return
        try:
            answer = self.stand_in.liar(body, self.stand_in.forward)
        except ServerError:
            self._send(500, {"error": {"message": "CUDA out of memory"}})
        except BrokenStream:
            self._stream(["half "], finish=False)
        else:
            if body["stream"]:
                self._stream([f"{word} " for word in answer.split()], finish=True)
            else:
                self._send(200, {"choices": [{"message": {"role": "assistant", "content": answer}}]})

    def _unauthorised(self) -> bool:
        if self.stand_in.key is None or self.headers.get("Authorization") == f"Bearer {self.stand_in.key}":
            return False
        self._send(401, {"error": {"message": f"wrong key: {self.headers.get('Authorization')}"}})
        return True

    def _send(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, pieces: list[str], finish: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            event = {"choices": [{"delta": {"content": piece}}]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        if finish:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests read what was asked in `requests`."""


def _problem(path: str, body: Body, models: tuple[str, ...] | None) -> tuple[int, str] | None:
    if path != "/v1/chat/completions":
        return 404, f"no such path: {path}"
    if models is not None and body.get("model") not in models:
        return 404, f"no such model: {body.get('model')}"
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return 400, "messages: a list is wanted"
    if not isinstance(body.get("max_tokens"), int) or body.get("temperature") != 0:
        return 400, "max_tokens and temperature 0 are wanted"
    roles = [message["role"] for message in body["messages"]]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        return 400, f"roles must alternate and end with user, not {roles}"
    return None
