"""Requests made from the server's own OpenAPI description, fitting it and not: never a 5xx, never a hang."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from tests.serve.drawing import data_url
from tests.serve.server_process import ServerProcess

URL = data_url()
# An answer of the canary's takes a fraction of a second; a machine that runs tests is busy.
HANG = 120.0


class Fuzz:
    """Sends cases until its seconds are over; `statuses` counts what came back."""

    def __init__(self, server: ServerProcess, seconds: float) -> None:
        self.server = server
        self.until = time.monotonic() + seconds
        self.statuses: Counter[int] = Counter()
        self.broken: list[str] = []

    def send(self, method: str, path: str, **more: Any) -> None:
        try:
            answer = httpx.request(method, self.server.base + path, timeout=HANG, **more)
        except httpx.InvalidURL:
            return
        except httpx.TimeoutException:
            self.broken.append(f"{method} {path}: no answer within {HANG:g} s: {str(more)[:500]}")
            return
        self.statuses[answer.status_code] += 1
        if wrong := fault(answer):
            self.broken.append(f"{method} {path}: {wrong}: {str(more)[:500]}")


def fault(answer: httpx.Response) -> str:
    """What is wrong with an answer whatever was asked; "" if nothing."""
    status = answer.status_code
    if status >= 500 and not (status == 503 and "retry-after" in answer.headers):
        return f"status {status}, {answer.text[:200]}"
    if status in (429, 503) and "retry-after" not in answer.headers:
        return f"status {status} without Retry-After"
    if status >= 400 and answer.headers.get("content-type", "").startswith("application/json"):
        found = answer.json().get("error", {})
        if set(found) != {"message", "type", "param", "code"} or not found["message"]:
            return f"status {status} outside the envelope, {answer.text[:200]}"
    elif status >= 400:
        return f"status {status} is no JSON, {answer.text[:200]}"
    return ""


def memory(server: ServerProcess) -> float:
    """MiB."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096 / 2**20


def operations(server: ServerProcess) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{server.base}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


def sharpened(case: Case, draw: Any) -> Any:
    """Its body; mostly it names the model, and then it may hold a picture, else few would come past the first
    check.
    """
    body = case.body
    if isinstance(body, dict) and draw(st.sampled_from([True, True, True, False])):
        body = {**body, "model": "test-model"}
        if "messages" in body and draw(st.booleans()):
            picture = {
                "type": "image_url",
                "image_url": {"url": draw(st.sampled_from([URL, URL[:200], "data:,"]))},
            }
            parts = [picture, {"type": "text", "text": draw(st.text(max_size=40))}]
            body["messages"] = [
                {"role": draw(st.sampled_from(["user", "assistant", "system"])), "content": parts}
            ]
    return body


def run(server: ServerProcess, seconds: float) -> Fuzz:
    fuzz = Fuzz(server, seconds)
    made = operations(server)
    assert len(made) >= 4
    # Those with a body have the most to get wrong.
    weights = {operation: 6 if operation.method.upper() == "POST" else 1 for operation in made}
    start, spent = time.monotonic(), 0
    for operation, weight in weights.items():
        spent += weight
        until = start + seconds * spent / sum(weights.values())
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            half = time.monotonic() + (until - time.monotonic()) / (
                2 if mode is GenerationMode.POSITIVE else 1
            )
            one_operation(fuzz, operation, mode, half)
    return fuzz


def one_operation(fuzz: Fuzz, operation: Any, mode: GenerationMode, until: float) -> None:
    @settings(
        max_examples=100_000, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def sends(case: Case, data: Any) -> None:
        # All is drawn before time may end it: a case that stops earlier when it comes again counts as flaky.
        body = sharpened(case, data.draw)
        if time.monotonic() > until or fuzz.broken:
            raise Over
        more: dict[str, Any] = {}
        if operation.method.upper() == "POST":
            try:
                more["content"] = body if isinstance(body, bytes) else json.dumps(body).encode()
            except (TypeError, ValueError):
                return
        fuzz.send(operation.method.upper(), case.formatted_path, **more)

    try:
        sends()
    except Over:
        pass
    except Exception as error:
        if "Unsatisfiable" not in type(error).__name__:
            raise


class Over(Exception):
    """The time is over."""


@pytest.fixture(scope="module")
def small(start: Any) -> ServerProcess:
    """A short context: an answer that never ends takes no time."""
    return start(
        "--max-model-len", "256", "--image-timeout", "2", "--body-timeout", "20", "--max-body-mib", "1"
    )


def fuzzed(server: ServerProcess, seconds: float) -> None:
    run(server, seconds / 4)  # caches fill, and every route is imported
    before = memory(server)
    fuzz = run(server, seconds * 3 / 4)
    assert fuzz.broken == []
    total = sum(fuzz.statuses.values())
    assert total > seconds / 2, fuzz.statuses
    assert {200, 400} <= fuzz.statuses.keys(), fuzz.statuses
    grown = memory(server) - before
    assert grown < 64, f"{grown:.0f} MiB more after {total} requests"
    server.wait_for(lambda: server.metric("sightline_requests_inside") == 0)
    print(dict(fuzz.statuses), f"{grown:.1f} MiB")


def test_what_its_description_allows_and_what_it_does_not(small: ServerProcess) -> None:
    fuzzed(small, float(os.environ.get("SIGHTLINE_FUZZ_SECONDS", "24")))


@pytest.mark.slow
def test_the_same_for_a_minute(small: ServerProcess) -> None:
    fuzzed(small, 60)


ERROR = {"error": {"message": "m", "type": "t", "param": None, "code": None}}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(500, json=ERROR), "status 500"),
        (httpx.Response(503, json=ERROR), "status 503"),
        (httpx.Response(429, json=ERROR), "without Retry-After"),
        (httpx.Response(400, json={"detail": "x"}), "outside the envelope"),
        (httpx.Response(422, json={"error": {"message": "m"}}), "outside the envelope"),
        (httpx.Response(400, text="Bad Request"), "no JSON"),
        (httpx.Response(503, json=ERROR, headers={"Retry-After": "1"}), ""),
        (httpx.Response(400, json=ERROR), ""),
        (httpx.Response(200, text="fine"), ""),
    ],
)
def test_a_fault_is_seen(answer: httpx.Response, says: str) -> None:
    assert (says in fault(answer)) if says else fault(answer) == ""
