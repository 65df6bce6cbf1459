"""LocalAI's stand-in on a real llama.cpp: what sees is proven, what only says that it is ready is not.

The broken ones are started past sightline-localai, which would not start them.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sightline_host.readiness import NotReady, wait_listed
from sightline_localai.cli import settings_from
from sightline_localai.start import prepare

from sightline.catalogue import load_model
from sightline.localai import model_files
from sightline.prove.client import Endpoint
from sightline.prove.sight import Settings, look, verdict_on
from sightline.prove.verdict import Verdict
from tests.localai.serving import KEY, WEIGHTS, Laid, free_port, lay, running, started
from tests.serve.drawing import ask, data_url, disc, encoded

pytestmark = pytest.mark.slow

QUESTION = "What colour is the shape? Answer with one word."
OWN_TEMPLATE = {
    "template": "manual",
    "text": "<|im_start|>user\n{question}\n<|im_start|>assistant",
    "roles": {"user": "<|im_start|>user\n", "assistant": "<|im_start|>assistant"},
    "notes": "the canary's own, as parts",
}


def verdict_of(client: httpx.Client, questions: int = 20) -> Verdict:
    endpoint = Endpoint(f"{client.base_url}/v1", "canary", KEY, timeout=60)
    try:
        settings = Settings(7, questions=questions)
        return verdict_on(look(endpoint, settings), settings)
    finally:
        endpoint.close()


def colour(client: httpx.Client, picture: bytes) -> str:
    body = {**ask(QUESTION, data_url(picture)), "model": "canary", "temperature": 0}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.fixture
def laid(tmp_path: Path, llama_python: Path) -> Laid:
    return lay(tmp_path / "laid", llama_python)


@contextmanager
def past_the_guard(laid: Laid, broken: Callable[[Laid], None]) -> Iterator[httpx.Client]:
    """LocalAI as sightline-localai would have started it, but for what `broken` does before that."""
    port = free_port()
    start = prepare(settings_from(laid.words(port))[0], {"PATH": "/usr/bin:/bin"})
    broken(laid)
    with running(start.command, port, start.environment, laid.base / "log") as client:
        yield client


def test_it_is_proven_to_see_and_asks_for_the_key(laid: Laid) -> None:
    command, port, environment = started(laid)
    with running(command, port, environment, laid.base / "log") as client:
        assert verdict_of(client, 40).outcome == "proven"
        wait_listed(f"{client.base_url}/readyz", "canary", laid.base / "key")
        for path in ("/v1/models", "/metrics"):
            assert client.get(path).status_code == 200
            assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/healthz", headers={"Authorization": ""}).status_code == 200
        assert client.get("/").status_code == 404
        # It drops what it cannot decode, and answers all the same: only the answer tells.
        assert colour(client, encoded(disc("red"))) == "red"
        assert colour(client, b"no picture") not in ("red", "blue", "green")
    left = subprocess.run(["pgrep", "-f", f"{laid.program}/backends"], capture_output=True, text=True)
    assert left.stdout == ""


def with_own_template(laid: Laid) -> None:
    for name, text in model_files({**load_model("canary"), "prompts": OWN_TEMPLATE}, "canary", {}).items():
        (laid.models / name).write_text(text)


def test_a_template_of_ones_own_reaches_the_model(laid: Laid) -> None:
    with_own_template(laid)
    with past_the_guard(laid, lambda laid: None) as client:
        assert [colour(client, encoded(disc(name))) for name in ("red", "green")] == ["red", "green"]


def no_template_file(laid: Laid) -> None:
    (laid.work / "models/canary.tmpl").unlink()


def no_backend(laid: Laid) -> None:
    shutil.rmtree(laid.program / "backends/llama-cpp")


def random_projector(laid: Laid) -> None:
    """The second half of the file, which is tensors alone, becomes noise of the size that weights have."""
    link = laid.work / "models/mmproj-canary-f16.gguf"
    whole = (WEIGHTS / "gguf/mmproj-canary-f16.gguf").read_bytes()
    kept = len(whole) // 2 & ~1
    noise, count = random.Random(5), (len(whole) - kept) // 2
    link.unlink()
    link.write_bytes(whole[:kept] + struct.pack(f"<{count}e", *(noise.gauss(0, 0.05) for _ in range(count))))


BROKEN: dict[str, Callable[[Laid], None]] = {
    "the template's file is missing": no_template_file,
    "the backend is missing": no_backend,
    "a projector of random numbers": random_projector,
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_says_that_it_is_ready_and_is_not_proven(laid: Laid, case: str) -> None:
    with_own_template(laid)
    with past_the_guard(laid, BROKEN[case]) as client:
        assert client.get("/readyz").status_code == 200
        assert "canary" in [told["id"] for told in client.get("/v1/models").json()["data"]]
        assert verdict_of(client).outcome == "not proven"


def test_a_broken_model_file_is_seen_in_the_list_of_models(laid: Laid) -> None:
    def broken(laid: Laid) -> None:
        (laid.work / "models/canary.yaml").write_text("name: canary\nparameters: [")

    with past_the_guard(laid, broken) as client:
        assert client.get("/readyz").status_code == 200
        with pytest.raises(NotReady, match="not canary"):
            wait_listed(f"{client.base_url}/readyz", "canary", laid.base / "key")


def test_without_a_key_anybody_may_ask(laid: Laid) -> None:
    """So a start without one is refused, and prove tries the door (tests/ansible/test_localai_journey.py)."""
    port = free_port()
    start = prepare(settings_from(laid.words(port))[0], {"PATH": "/usr/bin:/bin"})
    environment = {**start.environment, "LOCALAI_API_KEY": ""}
    with running(start.command, port, environment, laid.base / "log") as client:
        assert client.get("/v1/models", headers={"Authorization": ""}).status_code == 200


def test_an_old_projector_is_refused_by_llama_cpp_itself(laid: Laid, tmp_path: Path) -> None:
    """What the catalogue says of llava-1.5-7b-gguf: without clip.projector_type nothing is loaded."""

    def old(laid: Laid) -> None:
        link = laid.work / "models/mmproj-canary-f16.gguf"
        whole = link.read_bytes()
        link.unlink()
        link.write_bytes(whole.replace(b"clip.projector_type", b"clip.projector_none"))

    with past_the_guard(laid, old) as client:
        assert client.get("/readyz").status_code == 200
        body = {**ask(QUESTION, data_url(encoded(disc("red")))), "model": "canary"}
        answer = client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 500
        assert "could not load model" in answer.json()["error"]["message"]
