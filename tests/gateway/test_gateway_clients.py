"""The articles' clients over TLS: Caddy as the role sets it up, LiteLLM's proxy, the real canary, and a
stand-in of Oracle's service for when it is gone.
"""

from __future__ import annotations

import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sightline_gateway.pictures import COLOURS, QUESTION, draw, request_body

from sightline.bench.gateway.caddyfile import authority, write_caddyfile
from tests.gateway.caddy import caddys_folder
from tests.gateway.programs import Program, free_port, gateway_python, until
from tests.prove.canary_server import PYTHON, WEIGHTS
from tests.stand_ins.oci import ANSWERED_UNIX, MODEL, OciStandIn
from tests.stand_ins.oci_identity import COMPARTMENT, REGION, TENANCY, USER
from tests.stand_ins.replica import colour_of

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
KEY = "sk-operator"
BODY_LIMIT = "2MB"


@dataclass
class Front:
    """What stands before one canary; `url` ends in /v1."""

    url: str
    ca_file: Path
    pictures: str
    folder: Path
    canary: Program
    gateway: Program
    oracle: OciStandIn

    def client(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.ca_file)
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.Client(base_url=self.url, headers=headers, verify=trust, timeout=120, trust_env=False)

    def ask(self, colour: str) -> httpx.Response:
        with self.client() as client:
            return client.post("/chat/completions", json=request_body("canary", picture(colour)))

    def until_it_serves(self, serves: bool, seconds: float) -> None:
        at = f"{self.url.removesuffix('/v1')}/replicas"

        def holds() -> bool:
            with self.client() as client:
                told = client.get(at).raise_for_status().json()
                return bool(told["replicas"]["one"]["serving"]) is serves

        until(holds, seconds, self.gateway)

    def run(self, *command: str) -> str:
        """What a client prints; it trusts the gateway's authority as docs/gateway.md says."""
        trust = {"SSL_CERT_FILE": str(self.ca_file), "REQUESTS_CA_BUNDLE": str(self.ca_file)}
        environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **trust}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()


def picture(colour: str) -> bytes:
    return draw(colour, random.Random(colour))


@pytest.fixture(scope="module")
def pictures() -> Iterator[str]:
    """A server of pictures, `COLOUR.png`, at this address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            colour = self.path.removeprefix("/").removesuffix(".png")
            if colour not in COLOURS:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(picture(colour))

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def sees(body: dict[str, Any]) -> str:
    """A managed model that sees: the colour of the picture it is sent."""
    (part,) = [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
    return f"It is {colour_of(part['image_url']['url'])}."


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, pictures: str) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    caddy = caddys_folder(folder)
    keys, canary_key, replica_keys = folder / "keys", folder / "canary-key", folder / "replica-keys"
    keys.write_text(f"operator {KEY}\n")
    canary_key.write_text("sk-of-the-canary\n")
    replica_keys.write_text("one sk-of-the-canary\n")
    for secret in (keys, canary_key, replica_keys):
        secret.chmod(0o600)
    port, inner_port, canary_port = free_port(), free_port(), free_port()
    canary = Program(
        [PYTHON, "-m", "sightline_serve", "--model", str(WEIGHTS), "--served-model-name", "canary",
         "--port", str(canary_port), "--api-key-file", str(canary_key), "--threads", "1",
         "--allow-image-hosts", "127.0.0.1"], folder / "canary.log",
    )  # fmt: skip
    caddyfile = write_caddyfile(folder, port, inner_port, BODY_LIMIT)
    words = ["--settings", str(folder / "gateway.json"), "--keys", str(keys), "--port", str(inner_port)]
    words += ["--replica-keys", str(replica_keys), "--config", str(folder / "litellm.yaml")]
    words += ["--caddyfile", str(caddyfile)]
    gateway = Program([gateway_python(), "-m", "sightline_gateway", *words], folder / "gateway.log", caddy)
    with OciStandIn(answer=sees).serve() as oracle:
        oracle.api_key.write_config(folder / "oci")
        of_oracle = {
            "region": REGION, "compartment": COMPARTMENT, "user": USER, "tenancy": TENANCY,
            "fingerprint": oracle.api_key.fingerprint, "key_file": str(folder / "oci/key.pem"),
            "endpoint": oracle.url,
        }  # fmt: skip
        told = {
            "model": "canary",
            "replicas": [{"name": "one", "url": f"http://127.0.0.1:{canary_port}/v1", "model": "canary"}],
            "watch_every": 1,
            "cooldown": 2,
            "body_limit": 2_000_000,
            "oci": of_oracle,
        }
        (folder / "gateway.json").write_text(json.dumps(told))
        made = Front(
            f"https://127.0.0.1:{port}/v1", authority(folder), pictures, folder, canary, gateway, oracle
        )
        try:
            canary.start()
            gateway.start()
            until(made.ca_file.exists, 120, gateway)
            made.until_it_serves(True, 120)
            yield made
        finally:
            canary.kill(signal.SIGTERM)
            gateway.kill(signal.SIGTERM)


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_curl_with_a_picture_by_url(front: Front, colour: str) -> None:
    content = [
        {"type": "text", "text": QUESTION},
        {"type": "image_url", "image_url": {"url": f"{front.pictures}/{colour}.png"}},
    ]
    body = front.folder / "body.json"
    body.write_text(json.dumps({"model": "canary", "messages": [{"role": "user", "content": content}]}))
    said = front.run(
        "curl", "-sS", "--fail-with-body", "--cacert", str(front.ca_file), f"{front.url}/chat/completions",
        "-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json", "-d", f"@{body}",
    )  # fmt: skip
    assert json.loads(said)["choices"][0]["message"]["content"] == colour


@pytest.mark.parametrize("colour", ["green", "yellow"])
def test_the_openai_client_with_a_picture_by_url(front: Front, colour: str) -> None:
    url = f"{front.pictures}/{colour}.png"
    said = front.run(
        sys.executable, str(HERE / "ask_with_openai.py"), front.url, KEY, "canary", url, QUESTION
    )
    assert said == colour


@pytest.mark.parametrize("colour", ["red", "black"])
def test_requests_with_a_picture_in_base64(front: Front, colour: str) -> None:
    file = front.folder / f"{colour}.png"
    file.write_bytes(picture(colour))
    said = front.run(
        sys.executable, str(HERE / "ask_with_requests.py"), front.url, KEY, "canary", str(file), QUESTION
    )
    assert said == colour


def test_without_its_authority_nobody_is_trusted(front: Front) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{front.url}/models", trust_env=False)


def test_a_stream_comes_in_pieces(front: Front) -> None:
    body = {**request_body("canary", picture("blue")), "stream": True}
    with front.client() as client, client.stream("POST", "/chat/completions", json=body) as answer:
        chunks = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    assert len(chunks) >= 2
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "blue"


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("through_tls", [True, False])
def test_a_body_over_the_limit_is_refused_with_413(front: Front, announced: bool, through_tls: bool) -> None:
    """Caddy alone says 502 of it."""
    raw = b"x" * 3_000_000
    content = raw if announced else iter([raw[:1_500_000], raw[1_500_000:]])
    with front.client() as client:
        inner = f"http://127.0.0.1:{front.gateway.command[front.gateway.command.index('--port') + 1]}/v1"
        at = front.url if through_tls else inner
        refused = client.post(f"{at}/chat/completions", content=content)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "request_too_large"
    fits = front.ask("red")
    assert fits.json()["choices"][0]["message"]["content"] == "red"


def test_what_an_operator_alone_should_see_stays_inside(front: Front) -> None:
    with front.client() as client:
        assert client.get(f"{front.url.removesuffix('/v1')}/metrics").status_code == 404


def test_oracles_service_answers_when_nobody_is_left_and_no_longer_than_that(front: Front) -> None:
    """Its fields in OpenAI's form, as docs/oci.md says; signed with a key that the stand-in knows."""
    assert front.oracle.asked == [], "as long as a replica sees, nothing goes there"
    front.canary.kill()
    front.until_it_serves(False, 30)
    for colour in COLOURS:
        answered = front.ask(colour)
        assert answered.status_code == 200, answered.text
        said = answered.json()
        message, usage = said["choices"][0]["message"], said["usage"]
        assert (message["role"], message["content"]) == ("assistant", f"It is {colour}.")
        assert said["choices"][0]["finish_reason"] == "stop"
        assert (said["created"], said["model"]) == (ANSWERED_UNIX, MODEL)
        assert [usage[f"{name}_tokens"] for name in ("prompt", "completion", "total")] == [11, 3, 14]
        assert not {"model_version", "modelVersion", "api_format", "apiFormat"} & set(said)
        assert answered.headers["x-litellm-model-id"] == "oci"
    assert [asked["model"] for asked in front.oracle.asked] == [MODEL] * len(COLOURS)
    assert front.oracle.refused == [], "every signature was right"
    assert set(front.oracle.key_ids) == {front.oracle.api_key.key_id}
    front.canary.start()
    front.until_it_serves(True, 120)
    before = len(front.oracle.asked)
    answered = front.ask("blue")
    assert answered.headers["x-litellm-model-id"] == "one"
    assert answered.json()["choices"][0]["message"]["content"] == "blue"
    assert len(front.oracle.asked) == before
