"""scripts/ask-oci: its words; and, slow, Oracle's own SDK against the stand-in, by key and as an instance."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.oci import MODEL, cli
from tests.stand_ins.oci import OciStandIn
from tests.stand_ins.oci_identity import COMPARTMENT, ApiKey

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURE = CHECKOUT / "docs/images/report.png"

WRONG_WORDS = {
    "no picture": ([], "say which PICTURE"),
    "no question": (["a.png"], "and the QUESTION"),
    "a picture with --check": (["--check", "a.png"], "leave PICTURE and QUESTION out"),
    "two identities": (
        ["a.png", "What?", "--instance-principal", "--profile", "X"],
        "needs no ~/.oci/config",
    ),
    "no OCID": (["a.png", "What?", "--compartment", "root"], "'root' is no OCID"),
    "too many tokens": (["a.png", "What?", "--max-tokens", "4001"], "no whole number from 1 to 4000"),
}


@pytest.mark.parametrize("wrong", WRONG_WORDS, ids=lambda wrong: wrong)
def test_wrong_words(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, said = WRONG_WORDS[wrong]
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_wrong_files_are_told_before_the_sdk_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This runs where there is no SDK."""
    missing = str(tmp_path / "config")
    assert cli.main([str(PICTURE), "What?", "--config", missing]) == 2
    assert f"ask-oci: there is no {missing}" in capsys.readouterr().err
    assert cli.main([str(tmp_path / "none.png"), "What?", "--config", missing]) == 2
    assert "none.png cannot be read" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "examples:" in said
    assert "exit status:" in said
    assert max(map(len, said.splitlines())) <= 120


class Asked:
    """scripts/ask-oci in its own environment, against a service on a loopback port."""

    def __init__(self, service: OciStandIn, config: Path) -> None:
        self.service = service
        self.config = config

    def __call__(self, *words: str, instance: bool = False) -> subprocess.CompletedProcess[str]:
        who = ["--config", str(self.config)]
        if instance:
            who = ["--instance-principal", "--federation-endpoint", f"{self.service.url}/v1/x509"]
        return subprocess.run(
            [
                str(CHECKOUT / "scripts/ask-oci"),
                *words,
                *who,
                *("--endpoint", self.service.url, "--compartment", COMPARTMENT),
            ],
            capture_output=True,
            text=True,
            env=os.environ | {"OCI_METADATA_BASE_URL": f"{self.service.url}/opc/v2"},
            timeout=120,
        )


@pytest.fixture(scope="module")
def api_key() -> ApiKey:
    """One key for all."""
    return ApiKey()


@pytest.fixture
def asked(api_key: ApiKey, tmp_path: Path) -> Iterator[Asked]:
    """Ask a fresh service."""
    with OciStandIn(api_key=api_key).serve() as service:
        yield Asked(service, api_key.write_config(tmp_path / "oci"))


@pytest.mark.slow
def test_the_article_s_fields(asked: Asked) -> None:
    """As the SDK names them: https://docs.oracle.com/en-us/iaas/tools/python/latest/api/generative_ai_inference."""
    ended = asked(str(PICTURE), "What is shown?", "--json", "--system", "Be short.", "--max-tokens", "50")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {
        "model_id": MODEL,
        "model_version": "1.0.0",
        "chat_response": {
            "api_format": "GENERIC",
            "time_created": "2026-11-22T01:02:03.456000+00:00",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "ASSISTANT",
                        "content": [{"type": "TEXT", "text": "A red circle."}],
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
        },
    }
    got = asked.service.asked[0]
    assert [message["role"] for message in got["messages"]] == ["system", "user"]
    assert got["max_tokens"] == 50
    parts = got["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")


@pytest.mark.slow
def test_streamed_as_an_instance_and_throttled_once(asked: Asked) -> None:
    asked.service.throttle = 1
    asked.service.retires = "2100-01-01T00:00:00Z"
    ended = asked(str(PICTURE), "これは何ですか", instance=True)
    assert (ended.returncode, ended.stdout) == (0, "A red circle.\n")
    assert "English only" in ended.stderr
    assert "will be retired: 2100-01-01" in ended.stderr
    assert asked.service.instance.exchanges == 1
    assert all(key_id.startswith("ST$") for key_id in asked.service.key_ids)


@pytest.mark.slow
def test_what_the_service_refuses_is_told(asked: Asked) -> None:
    service = asked.service
    service.ahead = 600
    ended = asked(str(PICTURE), "What?", "--tries", "1")
    assert ended.returncode == 1
    assert "clock is more than five minutes wrong" in ended.stderr
    assert "timedatectl" in ended.stderr
    service.ahead, service.throttle = 0, 99
    ended = asked(str(PICTURE), "What?", "--tries", "1")
    assert ended.returncode == 1
    assert "too busy for this tenancy (429 TooManyRequests" in ended.stderr
    service.throttle = 0
    ended = asked(str(PICTURE), "What?", "--model", "meta.llama-9")
    assert ended.returncode == 1
    assert "meta.llama-9 is not there for you in us-chicago-1" in ended.stderr
    assert "--check" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_check(asked: Asked) -> None:
    ended = asked("--check")
    assert (ended.returncode, ended.stdout) == (
        0,
        f"us-chicago-1 offers {MODEL}, and tells no date of retirement\n",
    )
    asked.service.retires = "2026-01-01T00:00:00Z"
    ended = asked("--check", "--json", instance=True)
    assert ended.returncode == 1
    assert (
        json.loads(ended.stdout)["problem"] == f"{MODEL} was retired on demand on 2026-01-01 in us-chicago-1"
    )


@pytest.mark.slow
def test_another_s_key_is_refused(asked: Asked) -> None:
    """The key is right for its fingerprint, and the service does not know it."""
    asked.config = ApiKey().write_config(asked.config.parent)
    ended = asked("--check")
    assert ended.returncode == 1
    assert "does not accept the key (401" in ended.stderr
