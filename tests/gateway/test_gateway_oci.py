"""LiteLLM's own proxy before the stand-in of OCI, alone: fields, limits, a proof, a token that is renewed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sightline.prove import cli as prove
from tests.stand_ins.oci import ANSWERED_UNIX, MODEL, OciStandIn
from tests.stand_ins.oci_identity import COMPARTMENT, REGION, TENANCY, USER
from tests.stand_ins.seeing_oracle import Gallery, SeeingOracle

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ASKED_AS = "llama-vision"
CLIENT = "sk-client-of-the-gateway"


@dataclass
class Gateway:
    """A running proxy; `url` without /v1."""

    url: str
    key_file: Path
    log: Path

    def ask(self, picture: str = PIXEL, **more: Any) -> httpx.Response:
        content = [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": picture}},
        ]
        body = {"model": ASKED_AS, "messages": [{"role": "user", "content": content}]} | more
        return httpx.post(
            f"{self.url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {CLIENT}"},
            timeout=120,
            trust_env=False,
        )


@contextmanager
def running(folder: Path, told: dict[str, str], environment: dict[str, str]) -> Iterator[Gateway]:
    """The gateway with nothing but Oracle's service behind it."""
    python = os.environ.get("SIGHTLINE_GATEWAY_PYTHON", "")
    assert Path(python).is_file(), "SIGHTLINE_GATEWAY_PYTHON names no Python: run this by `scripts/test slow`"
    keys, key_file, log = folder / "clients", folder / "key", folder / "log"
    keys.write_text(f"tester {CLIENT}\n")
    key_file.write_text(CLIENT + "\n")
    for secret in (keys, key_file):
        secret.chmod(0o600)
    settings = {"model": ASKED_AS, "replicas": [], "oci": told, "retries": 1, "cooldown": 1}
    (folder / "gateway.json").write_text(json.dumps(settings))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["--settings", str(folder / "gateway.json"), "--keys", str(keys), "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [python, "-m", "sightline_gateway", *words, "--config", str(folder / "litellm.yaml")],
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT / "serve")} | environment,
        )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while not _ready(url):
            assert process.poll() is None, f"the gateway has ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"the gateway is not ready:\n{log.read_text()}"
            time.sleep(0.2)
        yield Gateway(url, key_file, log)
    finally:
        process.terminate()
        process.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=10, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def service() -> Iterator[OciStandIn]:
    """Oracle's cloud, for both gateways: it knows the user's key and the instance."""
    with OciStandIn().serve() as service:
        yield service


@pytest.fixture
def service_anew(service: OciStandIn) -> OciStandIn:
    """The same, as it is when nobody has asked it anything."""
    fresh = OciStandIn(api_key=service.api_key, instance=service.instance)
    for name in ("answer", "finish_reason", "throttle", "retires", "ahead"):
        setattr(service, name, getattr(fresh, name))
    for seen in (service.asked, service.key_ids, service.refused):
        seen.clear()
    return service


@pytest.fixture(scope="module")
def by_key(service: OciStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With the user's key."""
    folder = tmp_path_factory.mktemp("by-key")
    service.api_key.write_config(folder / "oci")
    told = {
        "region": REGION,
        "compartment": COMPARTMENT,
        "user": USER,
        "tenancy": TENANCY,
        "fingerprint": service.api_key.fingerprint,
        "key_file": str(folder / "oci/key.pem"),
        "endpoint": service.url,
    }
    with running(folder, told, {}) as gateway:
        yield gateway


def test_the_article_s_fields_in_openai_s_form(by_key: Gateway, service_anew: OciStandIn) -> None:
    """chat_response.choices[0].message.content[0].text, finish_reason, time_created (docs/oci.md)."""
    answered = by_key.ask(max_tokens=50, temperature=0.2, top_k=3, user="somebody")
    assert answered.status_code == 200, answered.text
    said = answered.json()
    assert said["choices"][0]["message"]["content"] == "A red circle."
    assert said["choices"][0]["message"]["role"] == "assistant"
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["created"] == ANSWERED_UNIX
    assert (said["object"], said["model"]) == ("chat.completion", ASKED_AS)
    assert said["usage"]["prompt_tokens"] == 11
    assert said["usage"]["completion_tokens"] == 3
    assert said["usage"]["total_tokens"] == 14
    assert not {"model_version", "modelVersion", "api_format", "apiFormat"} & set(said)
    assert answered.headers["x-litellm-model-id"] == "oci"
    got = service_anew.asked[0]
    assert (got["model"], got["max_tokens"], got["temperature"]) == (MODEL, 50, 0.2)
    assert got["messages"][0]["content"][1]["image_url"]["url"] == PIXEL


def test_the_article_s_system_message(by_key: Gateway, service_anew: OciStandIn) -> None:
    """Before the picture, as the article has it; the stand-in takes no role but the service's."""
    picture = {"type": "image_url", "image_url": {"url": PIXEL}}
    told = {"role": "system", "content": "You answer with one word."}
    assert by_key.ask(messages=[told, {"role": "user", "content": [picture]}]).status_code == 200
    assert service_anew.asked[0]["messages"] == [told, {"role": "user", "content": [picture]}]


def test_a_stream_and_a_cut_answer(by_key: Gateway, service_anew: OciStandIn) -> None:
    service_anew.finish_reason = "length"
    lines = by_key.ask(stream=True).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "A red circle."
    assert {choice.get("finish_reason") for choice in choices} == {None, "length"}
    assert by_key.ask().json()["choices"][0]["finish_reason"] == "length"
    assert "Hub" not in by_key.log.read_text()


def test_limits(by_key: Gateway, service_anew: OciStandIn) -> None:
    by_key.ask()
    by_key.ask(max_tokens=9000)
    assert [asked["max_tokens"] for asked in service_anew.asked] == [4000, 4000]
    for picture in ("https://example.org/a.png", "data:image/gif;base64,R0lGODlh"):
        refused = by_key.ask(picture)
        assert refused.status_code == 400, refused.text
        assert "data URLs of PNG or JPEG" in refused.json()["error"]["message"]
    large = by_key.ask("data:image/png;base64," + "A" * 6_666_672)
    assert large.status_code == 400
    assert "this service takes up to 5,000,000" in large.json()["error"]["message"]
    assert len(service_anew.asked) == 2
    assert service_anew.refused == []


def test_a_throttled_request_is_asked_again(by_key: Gateway, service_anew: OciStandIn) -> None:
    service_anew.throttle = 1
    assert by_key.ask().status_code == 200
    assert len(service_anew.refused) == 1


def test_it_is_proven_to_see(by_key: Gateway, service_anew: OciStandIn, tmp_path: Path) -> None:
    """scripts/prove through LiteLLM: the service's model recognises the pictures that were drawn here."""
    out = tmp_path / "out"
    words = [
        "--url",
        f"{by_key.url}/v1",
        "--key-file",
        str(by_key.key_file),
        "--out",
        str(out),
        "--seed",
        "3",
    ]
    with Gallery().open() as gallery:
        service_anew.answer = SeeingOracle(gallery).answer
        assert prove.main([*words, "--quick", "--seed", "3"]) == 0
        report = json.loads((out / "report.json").read_text())
        assert report["verdict"]["outcome"] == "proven"
        service_anew.answer = lambda body: "circle"
        assert prove.main([*words, "--quick"]) == 1


def test_a_service_that_refuses_is_told(by_key: Gateway, service_anew: OciStandIn) -> None:
    """Last of this gateway's: LiteLLM leaves a deployment alone for a while after this."""
    service_anew.retires = "2026-01-01T00:00:00Z"
    refused = by_key.ask()
    assert refused.status_code == 404
    assert "not found" in refused.json()["error"]["message"]
    log = by_key.log.read_text()
    assert "PRIVATE KEY" not in log
    assert CLIENT not in log


def test_an_instance_s_token_is_renewed(
    service: OciStandIn, service_anew: OciStandIn, tmp_path: Path
) -> None:
    """Oracle's signer takes a token that has less than a minute left for one that is over."""
    service.instance.token_seconds = 63
    told = {
        "auth": "instance_principal",
        "region": REGION,
        "compartment": COMPARTMENT,
        "endpoint": service.url,
        "federation_endpoint": f"{service.url}/v1/x509",
    }
    with running(tmp_path, told, {"OCI_METADATA_BASE_URL": f"{service.url}/opc/v2"}) as gateway:
        assert gateway.ask().status_code == 200
        assert service.instance.exchanges == 1
        time.sleep(4)
        assert gateway.ask().status_code == 200
        assert service.instance.exchanges == 2
        assert len(set(service.key_ids)) == 2
        assert all(key_id.startswith("ST$") for key_id in service.key_ids)
        # One that is refused before it is over, as when the instance left its group for a moment.
        service.instance.tokens.clear()
        assert gateway.ask().status_code == 401
        deadline = time.monotonic() + 20
        while (answered := gateway.ask()).status_code != 200:
            assert time.monotonic() < deadline, answered.text
            time.sleep(0.2)
        assert service.instance.exchanges == 3
