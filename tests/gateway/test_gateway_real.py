"""LiteLLM's own proxy before a real canary and a stand-in that can go blind: keys, failover, rotation."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sightline_gateway.pictures import COLOURS, draw, request_body

from tests.gateway.programs import Program, free_port, gateway_python, until
from tests.prove.canary_server import CHECKOUT, PYTHON, WEIGHTS
from tests.stand_ins.replica import KEY, MODEL, ReplicaStandIn

pytestmark = pytest.mark.slow

CANARY_KEY = "sk-of-the-canary"
CLIENTS = 4


@dataclass
class Gateway:
    """The proxy under test, `url` without /v1; the canary and the stand-in behind it; the clients' keys."""

    url: str
    canary: Program
    stand_in: ReplicaStandIn
    clients: Path
    program: Program

    def ask(self, colour: str, key: str = "sk-operator", **more: Any) -> httpx.Response:
        body = {**request_body("canary", draw(colour, random.Random())), "max_tokens": 8, **more}
        return self.post(body, key)

    def post(self, body: Any, key: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.post(
            f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=120, trust_env=False
        )

    def replicas(self) -> dict[str, bool]:
        headers = {"Authorization": "Bearer sk-operator"}
        told = httpx.get(f"{self.url}/replicas", headers=headers, timeout=20, trust_env=False).json()
        return {name: entry["serving"] for name, entry in told["replicas"].items()}

    def until(self, wanted: dict[str, bool], seconds: float = 120) -> None:
        until(lambda: self.replicas() == wanted, seconds, self.program)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    own, clients, replica_keys = folder / "own", folder / "clients", folder / "replica-keys"
    own.write_text("operator sk-operator\n")
    clients.write_text("bob sk-bob rpm=2\neve sk-eve models=another\n")
    key = folder / "canary-key"
    key.write_text(CANARY_KEY + "\n")
    for secret in (own, clients, key):
        secret.chmod(0o600)
    replica_keys.write_text(f"one {CANARY_KEY}\ntwo {KEY}\n")
    port, canary_port = free_port(), free_port()
    canary = Program(
        [PYTHON, "-m", "sightline_serve", "--model", str(WEIGHTS), "--served-model-name", "canary",
         "--port", str(canary_port), "--api-key-file", str(key), "--threads", "1"], folder / "canary.log",
    )  # fmt: skip
    words = ["--settings", str(folder / "gateway.json"), "--keys", str(own), "--keys", str(clients)]
    words += ["--replica-keys", str(replica_keys), "--config", str(folder / "litellm.yaml")]
    program = Program(
        [gateway_python(), "-m", "sightline_gateway", *words, "--port", str(port)], folder / "gateway.log"
    )
    with ReplicaStandIn().serve() as stand_in:
        replicas = [
            {"name": "one", "url": f"http://127.0.0.1:{canary_port}/v1", "model": "canary"},
            {"name": "two", "url": stand_in.url, "model": MODEL},
        ]
        told = {"model": "canary", "replicas": replicas, "watch_every": 1, "cooldown": 2}
        (folder / "gateway.json").write_text(json.dumps(told))
        running = Gateway(f"http://127.0.0.1:{port}", canary, stand_in, clients, program)
        try:
            canary.start()
            program.start()
            running.until({"one": True, "two": True})
            yield running
        finally:
            canary.kill(signal.SIGTERM)
            program.kill(signal.SIGTERM)


def error(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


def test_answers_come_from_both_in_openais_form(gateway: Gateway) -> None:
    """Least busy: with two at once, both are asked."""
    by = Counter[str]()

    def ask() -> None:
        for colour in COLOURS:
            answer = gateway.ask(colour)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == colour
            assert answer.json()["model"] == "canary"
            assert not [name for name in answer.headers if name.startswith("x-litellm-model-api")]
            by[answer.headers["x-litellm-model-id"]] += 1

    in_threads(ask)
    assert set(by) == {"one", "two"}
    assert sum(by.values()) == CLIENTS * len(COLOURS)
    assert gateway.stand_in.problems == []


def test_streams_come_in_openais_form(gateway: Gateway) -> None:
    gateway.stand_in.mode = "red"
    gateway.until({"one": True, "two": False})
    lines = gateway.ask("blue", stream=True).text.splitlines()
    gateway.stand_in.mode = "sees"
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert lines[-1] == "data: [DONE]" or lines[-2] == "data: [DONE]"
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert said == "blue"


def test_keys(gateway: Gateway) -> None:
    for key in ("", "sk-wrong"):
        refused = gateway.ask("red", key)
        assert refused.status_code == 401
        assert error(refused)["type"] == "authentication_error"
    assert gateway.ask("red", "sk-eve").status_code == 403
    assert gateway.ask("red", model="another").status_code == 404
    assert [gateway.ask("red", "sk-bob").status_code for _ in range(3)] == [200, 200, 429]
    refused = gateway.ask("red", "sk-bob")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert error(refused)["message"].startswith("The key 'bob' may ask 2 times a minute")
    gateway.clients.write_text("carol sk-carol\n")
    assert gateway.ask("red", "sk-carol").status_code == 200, "the file is read anew"
    assert gateway.ask("red", "sk-bob").status_code == 401
    log = gateway.program.log.read_text()
    assert not [secret for secret in ("sk-bob", "sk-operator", CANARY_KEY, KEY) if secret in log]


def test_of_litellms_paths_only_those_of_clients(gateway: Gateway) -> None:
    headers = {"Authorization": "Bearer sk-operator"}

    def get(path: str, sent: dict[str, str] = headers) -> httpx.Response:
        return httpx.get(gateway.url + path, headers=sent, trust_env=False, timeout=30, follow_redirects=True)

    assert [model["id"] for model in get("/v1/models").json()["data"]] == ["canary"]
    assert get("/v1/models", {}).status_code == 401
    assert get("/ready", {}).json() == {"status": "ready"}
    assert get("/replicas", {}).status_code == 401
    for path in ("/", "/key/info", "/config/yaml", "/ui", "/docs", "/openapi.json", "/health/readiness"):
        assert get(path).status_code == 404, path
    assert 'sightline_replica_serving{replica="one"} 1.0' in get("/metrics").text


def test_one_that_is_blind_is_left_out_and_comes_back(gateway: Gateway) -> None:
    gateway.until({"one": True, "two": True})
    for mode in ("red", "guesses"):
        gateway.stand_in.mode = mode
        gateway.until({"one": True, "two": False}, 30)
        answers = [gateway.ask(colour) for colour in COLOURS]
        assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == list(COLOURS)
        assert {answer.headers["x-litellm-model-id"] for answer in answers} == {"one"}
        gateway.stand_in.mode = "sees"
        gateway.until({"one": True, "two": True}, 30)


def test_pictures_of_megabytes_pass(gateway: Gateway) -> None:
    noise = random.Random(1).randbytes(3 * 1200 * 1200)
    png = BytesIO()
    Image.frombytes("RGB", (1200, 1200), noise).save(png, "PNG", compress_level=0)
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    body = request_body("canary", b"")
    body["messages"][0]["content"][0]["image_url"]["url"] = url
    assert len(url) > 5_000_000
    # The stand-in knows only pictures of few colours, so the real one has to answer.
    gateway.stand_in.mode = "red"
    gateway.until({"one": True, "two": False}, 30)
    answer = gateway.post(body, "sk-operator")
    gateway.stand_in.mode = "sees"
    assert answer.status_code == 200, answer.text[:500]


def test_no_request_of_four_clients_fails_while_a_replica_is_killed(gateway: Gateway) -> None:
    gateway.until({"one": True, "two": True}, 30)
    killed = threading.Event()

    def ask() -> None:
        for number in range(24):
            colour = list(COLOURS)[number % len(COLOURS)]
            answer = gateway.ask(colour)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == colour
            if number == 8:
                killed.set()

    def kill() -> None:
        assert killed.wait(120)
        gateway.canary.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    in_threads(ask)
    killer.join()
    assert gateway.replicas() == {"one": False, "two": True}


def test_then_nobody_sees(gateway: Gateway) -> None:
    """A clear 503, no guess."""
    gateway.canary.kill()  # dead since the test before
    gateway.stand_in.mode = "red"
    gateway.until({"one": False, "two": False}, 30)
    answer = gateway.ask("blue")
    assert answer.status_code == 503, answer.text
    assert "no replica of canary sees just now" in error(answer)["message"]
    assert "two: said 'red' of a" in error(answer)["message"]
    assert httpx.get(f"{gateway.url}/ready", trust_env=False).status_code == 503


def test_where_nobody_sees_nobody_is_asked_again() -> None:
    """LiteLLM would look again, and before a single replica pause longer each time."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT / "serve"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    script = Path(__file__).with_name("nobody_sees.py")
    command = [gateway_python(), str(script)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.stdout.split() == ["1"], ended.stderr


def in_threads(work: Callable[[], None]) -> None:
    """Run `work` in CLIENTS threads; what one of them raises is raised here."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
