"""scripts/endpoint, over records in a checkout of the test's own."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline import endpoint

Put = Callable[..., Path]
RECORD: dict[str, Any] = {
    "schema": 1,
    "host": "local",
    "connection": {"type": "local"},
    "base_url": "http://127.0.0.1:8642/v1",
    "model": "canary",
    "api_key_file": "/srv/state/keys/local",
    "engine": "sightline-serve",
    "release": {"name": "cpu", "id": "0123456789ab"},
    "root": "/opt/sightline",
    "init": "systemd",
    "service": {"name": "sightline-vlm", "user": "root", "bind": "127.0.0.1", "port": 8642},
    "environment": {"path": "/opt/sightline/env/cpu-1", "lock_files": [], "lock_sha256": None},
    "model_dir": "/opt/sightline/models/canary",
    "api_key_path": "/opt/sightline/secrets/api_key",
    "deployed_at": "2026-01-02T03:04:05+00:00",
}
SSH = {"type": "ssh", "host": "203.0.113.7", "port": 2222, "user": "ubuntu"}


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """put("name", key=value): writes a deployment record with these differences."""
    monkeypatch.setattr(endpoint, "CHECKOUT", tmp_path)

    def write(host: str, **changes: object) -> Path:
        file = tmp_path / ".sightline/deployments" / f"{host}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(copy.deepcopy(RECORD) | {"host": host} | changes))
        return file

    return write


def test_for_people(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("local")

    assert endpoint.main([]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "endpoint  http://127.0.0.1:8642/v1",
        "model     canary",
        "API key   in /srv/state/keys/local",
    ]
    assert [line.split()[0] for line in lines[3:]] == ["try"]


def test_for_programs(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("local")

    assert endpoint.main(["--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "host": "local",
        "base_url": "http://127.0.0.1:8642/v1",
        "model": "canary",
        "api_key_file": "/srv/state/keys/local",
    }


def test_a_host_behind_ssh_gets_the_tunnel_to_open(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("rented", connection=SSH)
    endpoint.main([])
    said = capsys.readouterr().out
    assert "tunnel    ssh -N -L 8642:127.0.0.1:8642 -p 2222 ubuntu@203.0.113.7\n" in said

    put("rented", connection=SSH | {"private_key_file": "/home/me/my keys/id"})
    endpoint.main([])
    assert "-i '/home/me/my keys/id' -p 2222 ubuntu@203.0.113.7\n" in capsys.readouterr().out

    put("rented", connection=SSH, service=RECORD["service"] | {"bind": "0.0.0.0"})
    endpoint.main([])
    assert "tunnel" not in capsys.readouterr().out, "one that can be reached needs none"


def test_the_line_to_try_survives_a_shell(tmp_path: Path) -> None:
    """A real bash takes the line apart, with a function where curl would be."""
    key = tmp_path / "it's a key; $HOME"
    key.write_text("sk-sightline-1\n")
    model = 'it\'s "quoted" $HOME'
    line = endpoint.curl_line("http://127.0.0.1:8642/v1", model, str(key))

    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{line}"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    words = said.stdout.split("\0")[:-1]
    assert words[0] == "http://127.0.0.1:8642/v1/chat/completions"
    assert "Authorization: Bearer sk-sightline-1" in words
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == model
    assert body["messages"][0]["role"] == "user"


def test_among_several_hosts_one_must_be_named(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("one")
    put("two", base_url="http://203.0.113.7:8642/v1")

    assert endpoint.main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "one, two" in said.err
    assert "--host" in said.err

    assert endpoint.main(["--host", "two"]) == 0
    assert "http://203.0.113.7:8642/v1" in capsys.readouterr().out
    assert endpoint.main(["--host", "three"]) == 1
    assert "'three'" in capsys.readouterr().err


def test_this_machine_is_meant_when_none_is_named(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("another")
    put("local")
    assert endpoint.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host"] == "local"


@pytest.mark.usefixtures("put")
def test_without_a_deployment_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--json"], ["--host", "local"]):
        assert endpoint.main(options) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("endpoint: nothing is deployed")
        assert "scripts/up" in said.err


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "7", "{}", '{"schema": 2}', "\xff\xfe",
        json.dumps(RECORD | {"base_url": None}),
        json.dumps(RECORD | {"connection": {"type": "carrier pigeon"}}),
        json.dumps(RECORD | {"connection": {"type": "ssh"}}),
        json.dumps(RECORD | {"service": "sightline-vlm"}),
        json.dumps({name: value for name, value in RECORD.items() if name != "model"}),
    ],
)  # fmt: skip
def test_a_broken_record_is_named_and_no_traceback(
    put: Put, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = put("local")
    file.write_bytes(text.encode("latin-1"))

    assert endpoint.main(["--json"]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("endpoint: ")
    assert str(file) in said.err
    assert "scripts/up" in said.err or "should be" in said.err


def test_a_record_that_has_grown_is_still_read(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("local", later={"more": 1})
    assert endpoint.main([]) == 0
