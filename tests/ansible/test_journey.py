"""The whole journey on a fresh clone: up, ask, up again, repair, down. Each test builds on those before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.clones import CHECKOUT, Clone, files_below, pid_of


def recap(output: str) -> dict[str, int]:
    """The figures of Ansible's closing line."""
    line = re.search(r"^local\s*: (.*)$", output, flags=re.MULTILINE)
    assert line, output
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[1])}


def endpoint(clone: Clone) -> dict[str, Any]:
    told = subprocess.run(
        ["scripts/endpoint", "--json"], cwd=clone.path, capture_output=True, text=True, check=True
    )
    return dict(json.loads(told.stdout))


def deploy(clone: Clone, *words: str) -> subprocess.CompletedProcess[str]:
    """All phases but the proof, which has its own test."""
    ended = clone.up("--tags", "environment,model,serve", *words)
    assert ended.returncode == 0
    return ended


def alive(clone: Clone) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{clone.port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def before(clone: Clone) -> list[str]:
    return files_below(clone.path)


def test_check_on_a_fresh_clone_makes_no_deployment(clone: Clone, before: list[str]) -> None:
    ended = clone.up("--check")
    assert ended.returncode == 0
    assert recap(ended.stdout)["changed"] > 0
    assert not (clone.path / ".sightline" / "host").exists()
    assert clone.processes() == []


def test_up_deploys_and_shows_that_it_moves(clone: Clone) -> None:
    ended = deploy(clone)
    assert re.search(r"^ +local \| engine-cpu \d+/\d+: ", ended.stdout, flags=re.MULTILINE), (
        "no progress was shown"
    )
    key = Path(endpoint(clone)["api_key_file"])
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in ended.stdout


def test_up_again_changes_nothing(clone: Clone) -> None:
    ended = deploy(clone)
    assert recap(ended.stdout)["changed"] == 0
    assert "changed   nothing" in ended.stdout


def test_check_on_a_deployed_machine_changes_nothing(clone: Clone) -> None:
    ended = clone.up("--check")
    assert ended.returncode == 0
    assert recap(ended.stdout)["changed"] == 0
    assert alive(clone)


def kill_and_see_it_back(clone: Clone) -> None:
    """It lives again when this returns, and may still be loading the model."""
    os.kill(pid_of(clone, ["sightline_serve"]), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not alive(clone) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert alive(clone)


def test_a_killed_server_comes_back_by_itself(clone: Clone) -> None:
    pid = pid_of(clone, ["sightline_serve"])
    kill_and_see_it_back(clone)
    assert pid_of(clone, ["sightline_serve"]) != pid


def test_what_drifted_is_repaired(clone: Clone) -> None:
    key = Path(endpoint(clone)["api_key_file"])
    secret = key.read_text()
    key.chmod(0o644)
    weights = next((clone.path / ".sightline/host/models").glob("*/model.safetensors"))
    weights.unlink()
    ended = deploy(clone)
    assert recap(ended.stdout)["changed"] > 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text() == secret
    assert weights.exists()


def test_another_option_restarts_the_server_with_it(clone: Clone) -> None:
    pid = pid_of(clone, ["sightline_serve"])
    deploy(clone, "-e", '{"sightline_serve_options": ["--max-images", "3"]}')
    assert pid_of(clone, ["sightline_serve", "--max-images 3"]) != pid


def test_up_waits_for_a_model_that_loads_and_ends_proven(clone: Clone) -> None:
    kill_and_see_it_back(clone)
    ended = clone.up()
    assert ended.returncode == 0
    assert "local: PROVEN" in ended.stdout


def test_the_endpoint_sees_pictures_that_no_one_here_drew(clone: Clone) -> None:
    at = endpoint(clone)
    assert at["base_url"] == f"http://127.0.0.1:{clone.port}/v1"
    where = (at["base_url"], at["model"], at["api_key_file"])
    asked = subprocess.run(
        [sys.executable, "tests/ansible/ask_plain_pictures.py", *where],
        cwd=CHECKOUT, capture_output=True, text=True,
    )  # fmt: skip
    print(asked.stdout, asked.stderr)
    right, asked_in_all = json.loads(asked.stdout)
    assert right >= 0.9 * asked_in_all


def test_down_leaves_no_process_and_no_file(clone: Clone, before: list[str]) -> None:
    ended = clone.run("scripts/down")
    assert ended.returncode == 0
    assert clone.processes() == []
    assert not alive(clone)
    assert files_below(clone.path) == before


def test_down_twice_says_that_nothing_is_there(clone: Clone) -> None:
    ended = clone.run("scripts/down")
    assert ended.returncode == 0
    assert "Nothing is deployed" in ended.stdout
