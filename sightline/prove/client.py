"""Asking an OpenAI-compatible endpoint, whatever state it is in."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from .cases import Turn
from .errors import CouldNotTell

LARGEST_REPLY: Final = 2 * 1024 * 1024
"""Bytes of a reply that are read; more is no answer to a question for a word."""

_PATIENCE_WHEN_BUSY: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before asking again after 429: asking too fast is the asker's fault, not the endpoint's."""

FaultKind = Literal["timeout", "connection", "refused", "http", "malformed"]
Message = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """Why there is no answer. `refused` is 401, 403 or 404: the key or the model's name, not the
    endpoint's sight.
    """

    kind: FaultKind
    text: str
    status: int | None = None


@dataclass(frozen=True)
class Reply:
    """One answer, or the fault in its place; `seconds` of wall time; `pieces` is the number of streamed
    chunks, `tokens` what the endpoint says that it generated.
    """

    text: str
    seconds: float
    fault: Fault | None = None
    first_token_s: float | None = None
    pieces: int = 0
    tokens: int | None = None


class Endpoint:
    """One model behind an OpenAI-compatible API. The key goes into the request header and nowhere else."""

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        key: str | None = None,
        timeout: float = 120.0,
        max_tokens: int = 64,
        transport: httpx.BaseTransport | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self.base_url = _api_root(base_url)
        self._key = key
        self._timeout = timeout
        self._max_tokens = max_tokens
        loopback = httpx.URL(self.base_url).host in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(10.0, timeout)),
            trust_env=not loopback,
            transport=transport,
            verify=_trust(ca_file),
        )
        self.model = model or ""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def choose_model(self) -> str:
        """The model to ask: the one given, else the only one that the endpoint lists.

        Raises CouldNotTell when the endpoint can't be reached, refuses the key, or lists none or several
        models.
        """
        listed = self._listed_models()
        if self.model:
            if listed is not None and listed and self.model not in listed:
                raise CouldNotTell(
                    "no_such_model",
                    f"{self.base_url} serves no model named {self.model!r}; it lists: {', '.join(listed)}",
                    "give one of these names with --model",
                )
            return self.model
        if listed is None or len(listed) != 1:
            what = f"lists {len(listed)} models ({', '.join(listed)})" if listed else "lists no model"
            raise CouldNotTell("which_model", f"{self.base_url} {what}", "name the model with --model")
        self.model = listed[0]
        return self.model

    def ask(self, turns: list[Message], stream: bool = False) -> Reply:
        """Put one question and wait for the whole answer. Never raises for what the endpoint does."""
        body = {
            "model": self.model,
            "messages": turns,
            "temperature": 0,
            "max_tokens": self._max_tokens,
            "stream": stream,
        }
        for pause in (*_PATIENCE_WHEN_BUSY, None):
            reply = self._once(body, stream)
            if pause is None or reply.fault is None or reply.fault.status != 429:
                return reply
            time.sleep(pause)
        raise AssertionError("the loop above always returns")

    def _once(self, body: dict[str, Any], stream: bool) -> Reply:
        start = time.monotonic()
        deadline = start + self._timeout
        try:
            with self._http.stream("POST", f"{self.base_url}/chat/completions", json=body) as response:
                if response.status_code != 200:
                    detail = _bounded(response.iter_bytes(), deadline).decode("utf-8", "replace")
                    return Reply("", time.monotonic() - start, self._http_fault(response.status_code, detail))
                if stream:
                    return self._read_stream(response, start, deadline)
                content = _bounded(response.iter_bytes(), deadline)
            answer = json.loads(content)
            text = self._hide_key(_answer_text(answer))
            return Reply(text, time.monotonic() - start, tokens=_tokens(answer))
        except (TimeoutError, httpx.TimeoutException):
            waited = time.monotonic() - start
            return Reply("", waited, Fault("timeout", f"no answer within {self._timeout:g} s"))
        except httpx.HTTPError as problem:
            said = self._hide_key(str(problem)) or type(problem).__name__
            return Reply("", time.monotonic() - start, Fault("connection", f"the connection failed: {said}"))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as problem:
            said = self._hide_key(f"{type(problem).__name__}: {problem}")[:200]
            return Reply("", time.monotonic() - start, Fault("malformed", f"not a chat completion ({said})"))

    def _read_stream(self, response: httpx.Response, start: float, deadline: float) -> Reply:
        text, pieces, first, finished, size = "", 0, None, False, 0
        for line in response.iter_lines():
            size += len(line)
            if time.monotonic() > deadline:
                raise TimeoutError
            if size > LARGEST_REPLY:
                raise ValueError("the stream does not end")
            if not line.startswith("data:"):
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                finished = True
                break
            choices = json.loads(data).get("choices") or [{}]
            piece = (choices[0].get("delta") or {}).get("content") or ""
            if piece:
                first = first if first is not None else time.monotonic() - start
                text, pieces = text + str(piece), pieces + 1
        seconds = time.monotonic() - start
        if not finished:
            return Reply(
                text, seconds, Fault("malformed", "the stream broke off before [DONE]"), first, pieces
            )
        return Reply(self._hide_key(text), seconds, None, first, pieces)

    def _listed_models(self) -> list[str] | None:
        """Names under /models; None where the endpoint offers no such list. Raises CouldNotTell."""
        try:
            deadline = time.monotonic() + min(30.0, self._timeout)
            with self._http.stream(
                "GET", f"{self.base_url}/models", timeout=min(30.0, self._timeout)
            ) as response:
                status = response.status_code
                content = _bounded(response.iter_bytes(), deadline)
        except (TimeoutError, httpx.HTTPError, ValueError) as problem:
            said = self._hide_key(str(problem)) or type(problem).__name__
            raise CouldNotTell(
                "unreachable",
                f"{self.base_url} can't be reached: {said}",
                "check the address, and that it runs",
            ) from problem
        if status in (401, 403):
            given = "refuses the key given" if self._key else "wants a key and none was given"
            raise CouldNotTell(
                "unauthorised", f"{self.base_url} {given} ({status})", "give its key with --key-file"
            )
        if status == 503:
            raise CouldNotTell(
                "not_ready", f"{self.base_url} is not ready yet (503)", "wait until it is, and repeat"
            )
        if status != 200:
            return None
        try:
            return [self._hide_key(str(entry["id"])) for entry in json.loads(content)["data"]]
        except (ValueError, KeyError, TypeError):
            return None

    def _http_fault(self, status: int, detail: str) -> Fault:
        said = self._hide_key(" ".join(_error_text(detail).split()))[:300]
        kind: FaultKind = "refused" if status in (401, 403, 404) else "http"
        return Fault(kind, f"HTTP {status}: {said}" if said else f"HTTP {status}", status)

    def _hide_key(self, text: str) -> str:
        return text.replace(self._key, "[the key]") if self._key else text


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    """Whom to believe that an endpoint is who it says: the usual authorities, or the one in `ca_file`.

    Raises CouldNotTell when that cannot be read.
    """
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as problem:
        raise CouldNotTell(
            "ca_file", f"the authority in {ca_file} cannot be read: {problem}", "run scripts/up again"
        ) from None


def messages(turns: tuple[Turn, ...], answers: list[str]) -> list[Message]:
    """The conversation up to the next answer: user turns with their pictures, and the answers given so
    far.
    """
    conversation: list[Message] = []
    for index, turn in enumerate(turns[: len(answers) + 1]):
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": picture.data_url}} for picture in turn.pictures
        ]
        content: Any = [*parts, {"type": "text", "text": turn.text}] if parts else turn.text
        conversation.append({"role": "user", "content": content})
        if index < len(answers):
            conversation.append({"role": "assistant", "content": answers[index]})
    return conversation


def read_key(path: Path) -> str:
    """The key in a file. Raises CouldNotTell when the file is missing, unreadable, empty or more than
    one line.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise CouldNotTell(
            "key_file", f"the key file {path} can't be read: {reason}", "check --key-file"
        ) from None
    if not key or len(key.split()) != 1 or not key.isascii():
        raise CouldNotTell(
            "key_file", f"the key file {path} holds no key (one line of text)", "check --key-file"
        )
    return key


def _api_root(url: str) -> str:
    """The address that /chat/completions hangs under; a bare host gets /v1. Raises CouldNotTell."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as problem:
        raise CouldNotTell(
            "bad_url", f"{url!r} is no address: {problem}", "write it like http://host:8642/v1"
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise CouldNotTell("bad_url", f"{url!r} is no http address", "write it like http://host:8642/v1")
    if parsed.userinfo:
        raise CouldNotTell("bad_url", "the address carries a password", "put the key into a file: --key-file")
    path = parsed.path.rstrip("/").removesuffix("/chat/completions")
    return str(parsed.copy_with(path=path or "/v1", query=None, fragment=None)).rstrip("/")


def _bounded(chunks: Iterator[bytes], deadline: float) -> bytes:
    """All bytes, up to LARGEST_REPLY and the deadline: a reply that trickles must not hold the check
    forever.
    """
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > LARGEST_REPLY:
            raise ValueError(f"the reply is larger than {LARGEST_REPLY} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(content)


def _tokens(answer: dict[str, Any]) -> int | None:
    """The tokens that an answer is said to have; None where nobody says."""
    usage = answer.get("usage")
    told = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else None


def _answer_text(completion: dict[str, Any]) -> str:
    content = completion["choices"][0]["message"]["content"]
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _error_text(detail: str) -> str:
    """The message in an error body: OpenAI's {"error": {"message"}}, FastAPI's {"detail"}, or the text
    itself.
    """
    try:
        parsed = json.loads(detail)
    except ValueError:
        return detail
    if isinstance(parsed, dict):
        error = parsed.get("error", parsed.get("detail", parsed))
        return str(error.get("message", error)) if isinstance(error, dict) else str(error)
    return detail
