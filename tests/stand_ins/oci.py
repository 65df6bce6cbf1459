"""Stands for Oracle Cloud Infrastructure's Generative AI on a loopback port: an instance's metadata service,
the federation endpoint, the chat (20231130, GENERIC format, streamed or not) and the listing of models.

It checks what it is sent as the service does: signature, hash and date (oci_signatures), the body's form, and
the documented limits (data URLs of PNG or JPEG up to 5 MB, 4,000 tokens of answer). The wording of its errors
is its own: of the service's only the codes, and "clock skew" in a 401, are known.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .oci_identity import COMPARTMENT, ApiKey, Instance
from .oci_signatures import BARE, Refused, check_signature
from .serving import served

MODEL = "meta.llama-3.2-90b-vision-instruct"
MOST_TOKENS = 4000
MOST_PICTURE_BYTES = 5_000_000
CREATED = "2024-11-14T00:00:00.000Z"
ANSWERED = "2026-11-22T01:02:03.456Z"
ANSWERED_UNIX = 1795309323
"""The same moment: 20,779 days after 1970 are 2026-11-22, and 3,723 seconds."""

Body = dict[str, Any]
Keys = Callable[[str], RSAPublicKey | None]


@dataclass
class OciStandIn:
    """What the service does. `answer` gets a request in OpenAI's form and returns the model's words.

    `throttle` is how many chats are refused with 429 before one is answered; `retires` the date at which the
    model goes, or has gone; `ahead` by how many seconds its clock is ahead of this machine's.
    """

    answer: Callable[[Body], str] = lambda body: "A red circle."
    finish_reason: str = "stop"
    offered: tuple[str, ...] = (MODEL, "meta.llama-3.3-70b-instruct")
    throttle: int = 0
    retires: str = ""
    ahead: float = 0.0
    api_key: ApiKey = field(default_factory=ApiKey)
    instance: Instance = field(default_factory=Instance)
    url: str = ""
    asked: list[Body] = field(default_factory=list)
    key_ids: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def serve(self) -> Iterator[OciStandIn]:
        """Listen until the block ends."""
        handler = type("Handler", (_Handler,), {"stand_in": self})
        with served(handler) as address:
            self.url = address
            yield self

    def now(self) -> float:
        """The service's clock."""
        return time.time() + self.ahead

    def key(self, key_id: str) -> RSAPublicKey | None:
        """The public key behind a keyId of a request to the service itself."""
        if key_id == self.api_key.key_id:
            return self.api_key.private.public_key()
        return self.instance.session_key(key_id, self.now()) if key_id.startswith("ST$") else None

    def listing(self, compartment: str, capability: str) -> Body:
        """The models of a region, as ListModels gives them."""
        if compartment != COMPARTMENT:
            raise _not_there()
        entries = [self._entry(name) for name in self.offered]
        # The base of fine-tuning is listed beside it under the same name.
        gone = {"capabilities": ["FINE_TUNE"], "timeOnDemandRetired": "2025-01-01T00:00:00Z"}
        return {
            "items": [e for e in [self._entry(MODEL) | gone, *entries] if capability in e["capabilities"]]
        }

    def _entry(self, name: str) -> Body:
        retires = self.retires if name == MODEL else ""
        return {
            "id": f"ocid1.generativeaimodel.oc1.us-chicago-1.{name.replace('.', '')}",
            "compartmentId": COMPARTMENT,
            "displayName": name,
            "vendor": "meta",
            "version": "1.0",
            "type": "BASE",
            "capabilities": ["CHAT"],
            "lifecycleState": "ACTIVE",
            "timeCreated": CREATED,
            "isLongTermSupported": True,
            "timeOnDemandRetired": retires or None,
        }

    def chat(self, body: Body) -> tuple[Body, str, dict[str, str]]:
        """The request in OpenAI's form, the answer, and headers to send. Raises Refused."""
        asked, tokens = _read_chat(body), body["chatRequest"].get("maxTokens", 20)
        if self.throttle > 0:
            self.throttle -= 1
            raise Refused(429, "TooManyRequests", "Request is throttled: too many requests for the tenancy.")
        if asked["model"] not in self.offered or self._is_retired(asked["model"]):
            raise Refused(404, "NotAuthorizedOrNotFound", f"Entity with key {asked['model']} not found")
        self.asked.append(asked | {"max_tokens": tokens})
        headers = {"model-retirement-info": self.retires} if self.retires else {}
        return asked, self.answer(asked), headers

    def _is_retired(self, model: str) -> bool:
        if model != MODEL or not self.retires:
            return False
        return datetime.fromisoformat(self.retires) <= datetime.fromtimestamp(self.now(), UTC)


def _not_there() -> Refused:
    return Refused(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found.")


def _read_chat(body: Body) -> Body:
    """A chat in OpenAI's form. Raises Refused for what the service does not take."""
    request = body.get("chatRequest", {})
    if body.get("compartmentId") != COMPARTMENT:
        raise _not_there()
    if body.get("servingMode", {}).get("servingType") != "ON_DEMAND" or request.get("apiFormat") != "GENERIC":
        raise Refused(400, "InvalidParameter", "servingMode ON_DEMAND and apiFormat GENERIC are wanted")
    known = {"apiFormat", "messages", "isStream", "maxTokens", "temperature", "topP", "topK", "seed", "stop"}
    known |= {"numGenerations", "frequencyPenalty", "presencePenalty"}
    if unknown := sorted(set(request) - known):
        raise Refused(400, "InvalidParameter", f"unknown: {', '.join(unknown)}")
    if not 1 <= request.get("maxTokens", 20) <= MOST_TOKENS:
        raise Refused(400, "InvalidParameter", f"maxTokens must be 1 to {MOST_TOKENS}")
    return {
        "model": body["servingMode"].get("modelId"),
        "stream": bool(request.get("isStream")),
        "temperature": request.get("temperature"),
        "max_tokens": request.get("maxTokens", 20),
        "messages": [_message(message) for message in request["messages"]],
    }


def _message(message: Body) -> Body:
    roles = {"SYSTEM": "system", "USER": "user", "ASSISTANT": "assistant"}
    if message.get("role") not in roles:
        raise Refused(400, "InvalidParameter", f"role {message.get('role')!r}")
    parts = [_part(part) for part in message["content"]]
    plain = all(part["type"] == "text" for part in parts)
    content = "".join(part["text"] for part in parts) if plain else parts
    return {"role": roles[message["role"]], "content": content}


def _part(part: Body) -> Body:
    if part.get("type") == "TEXT":
        return {"type": "text", "text": part["text"]}
    url = part.get("imageUrl", {}).get("url", "")
    found = re.fullmatch(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)", url)
    if part.get("type") != "IMAGE" or not found:
        raise Refused(400, "InvalidParameter", "an image must be a data URL of a PNG or a JPEG")
    content = base64.b64decode(found[2])
    if not content.startswith(b"\x89PNG" if found[1] == "png" else b"\xff\xd8"):
        raise Refused(400, "InvalidParameter", f"the image is no {found[1]}")
    if len(content) > MOST_PICTURE_BYTES:
        raise Refused(400, "InvalidParameter", "the image is larger than 5 MB")
    return {"type": "image_url", "image_url": {"url": url}}


class _Handler(BaseHTTPRequestHandler):
    stand_in: OciStandIn
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        try:
            if path.startswith("/opc/v2/"):
                if self.headers.get("Authorization") != "Bearer Oracle":
                    raise Refused(
                        401, "NotAuthenticated", "the header Authorization: Bearer Oracle is wanted"
                    )
                self._send(200, self.stand_in.instance.metadata(path.removeprefix("/opc/v2/")))
            elif path == "/20231130/models":
                self._check(b"", BARE, self.stand_in.key)
                asked = dict(parse_qsl(query))
                listed = self.stand_in.listing(asked.get("compartmentId", ""), asked.get("capability", ""))
                self._send(200, listed)
            else:
                raise Refused(404, "NotFound", f"no such page: {path}")
        except Refused as problem:
            self._refuse(problem)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        here = self.stand_in
        try:
            if self.path == "/v1/x509":
                self._check(raw, ("date", "(request-target)"), here.instance.leaf_public_key)
                self._send(200, {"token": here.instance.exchange(json.loads(raw), here.now())})
            elif self.path == "/20231130/actions/chat":
                here.key_ids.append(self._check(raw, BARE, here.key))
                self._chat(json.loads(raw))
            else:
                raise Refused(404, "NotFound", f"no such page: {self.path}")
        except Refused as problem:
            self._refuse(problem)

    def _check(self, body: bytes, required: tuple[str, ...], keys: Keys) -> str:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return check_signature(self.command, self.path, headers, body, keys, self.stand_in.now(), required)

    def _chat(self, body: Body) -> None:
        asked, answer, headers = self.stand_in.chat(body)
        if asked["stream"]:
            self._stream(answer, headers)
            return
        words = len(answer.split())
        said = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": answer}]}
        self._send(
            200,
            {
                "modelId": asked["model"],
                "modelVersion": "1.0.0",
                "chatResponse": {
                    "apiFormat": "GENERIC",
                    "timeCreated": ANSWERED,
                    "choices": [{"index": 0, "message": said, "finishReason": self.stand_in.finish_reason}],
                    "usage": {"promptTokens": 11, "completionTokens": words, "totalTokens": 11 + words},
                },
            },
            headers,
        )

    def _stream(self, answer: str, headers: dict[str, str]) -> None:
        """One event a word, then one that says why it ended."""
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in re.findall(r"\s*\S+", answer):
            message = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": piece}]}
            self._event({"index": 0, "message": message, "pad": "aaaa"})
        self._event({"message": {"role": "ASSISTANT"}, "finishReason": self.stand_in.finish_reason})
        self.close_connection = True

    def _event(self, event: Body) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def _refuse(self, problem: Refused) -> None:
        self.stand_in.refused.append(f"{problem.status} {problem.message}")
        self._send(problem.status, {"code": problem.code, "message": problem.message})

    def _send(self, status: int, content: Body | str, headers: dict[str, str] | None = None) -> None:
        raw = (content if isinstance(content, str) else json.dumps(content)).encode()
        kind = "text/plain" if isinstance(content, str) else "application/json"
        self.send_response(status)
        more = {"Content-Type": kind, "Content-Length": str(len(raw)), "opc-request-id": "stand-in-request"}
        for name, value in {**more, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests read what was asked in `asked` and `refused`."""
