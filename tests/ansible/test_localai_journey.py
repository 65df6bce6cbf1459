"""LocalAI as an engine: a stand-in for its binary with a real llama.cpp behind it, deployed and proven."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.clones import CHECKOUT, Clone, cloned, files_below, pid_of
from tests.localai.making import make_backend, make_binary

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with cloned(tmp_path_factory.mktemp("localai")) as made:
        yield made


@pytest.fixture(scope="module")
def before(copy: Clone) -> list[str]:
    return files_below(copy.path)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The settings of someone who has fetched both files: no network is asked for them."""
    python = os.environ.get("SIGHTLINE_LLAMA_PYTHON", "")
    if not Path(python).is_file():
        pytest.fail(
            "SIGHTLINE_LLAMA_PYTHON names no Python: run this by `scripts/test slow`, which builds it"
        )
    folder = tmp_path_factory.mktemp("fetched")
    binary, archive = make_binary(folder / "local-ai", python), make_backend(folder / "llama-cpp.tar", python)
    settings = {"engine": "localai", "localai_binary": binary, "localai_backend": archive}
    return tuple(word for name, value in settings.items() for word in ("-e", f"sightline_{name}={value}"))


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def changed(output: str) -> int:
    line = re.search(r"^local\s*: .*changed=(\d+)", output, flags=re.MULTILINE)
    assert line, output
    return int(line[1])


def test_what_is_not_pinned_or_cannot_be_told_is_refused_before_anything_is_touched(
    copy: Clone, before: list[str], words: tuple[str, ...]
) -> None:
    wrong = (
        "-e",
        f"sightline_localai_binary_sha256={'0' * 64}",
        "-e",
        '{"sightline_localai_model": {"gpu_layer": 9}}',
    )
    ended = copy.up(*words, *wrong)
    assert ended.returncode != 0
    assert "nothing was changed" in ended.stdout
    assert f"wants {'0' * 64}" in ended.stdout
    assert "has the key 'gpu_layer'" in ended.stdout
    assert copy.processes() == []


def test_a_check_does_nothing(copy: Clone, words: tuple[str, ...]) -> None:
    ended = copy.up(*words, "--check", "--tags", "environment,serve")
    assert ended.returncode == 0
    assert not [file for file in copy.path.glob(".sightline/host/**/*") if file.is_file()]


def test_it_is_deployed_and_proven_to_see(copy: Clone, words: tuple[str, ...]) -> None:
    ended = copy.up(*words)
    assert ended.returncode == 0
    assert "local: PROVEN" in ended.stdout
    key = (copy.path / ".sightline/host/secrets/api_key").read_text().split()[-1]
    (pid,) = [line.split()[0] for line in copy.processes() if "local-ai run" in line]
    assert not [line for line in copy.processes() if key in line]
    own = dict(
        pair.partition("=")[::2]
        for pair in Path(f"/proc/{pid}/environ").read_text().split("\0")
        if "=" in pair
    )
    assert own["LOCALAI_API_KEY"] == key
    assert own["LOCALAI_ADDRESS"] == f"127.0.0.1:{copy.port}"
    assert (own["LOCALAI_DISABLE_WEBUI"], own["LOCALAI_AUTOLOAD_BACKEND_GALLERIES"]) == ("true", "false")
    (run,) = copy.path.glob(".sightline/host/localai/v4.9.0-*/backends/llama-cpp/run.sh")
    assert all(folder.stat().st_mode & stat.S_IXOTH for folder in (run.parent, run.parent.parent))
    assert list(copy.path.glob(".sightline/host/tmp/*.tar")) == []


def test_again_changes_nothing(copy: Clone, words: tuple[str, ...]) -> None:
    assert changed(copy.up(*words, "--tags", "environment,model,serve").stdout) == 0


def test_a_missing_backend_is_told_at_the_start_and_mended_by_the_next_run(
    copy: Clone, words: tuple[str, ...]
) -> None:
    (folder,) = copy.path.glob(".sightline/host/localai/v4.9.0-*")
    shutil.rmtree(folder)
    ended = copy.up(*words, "--tags", "environment,model,serve", "-e", "sightline_context=512")
    assert ended.returncode == 0
    (text,) = copy.path.glob(".sightline/host/current/models/canary.yaml")
    assert "context_size: 512" in text.read_text()
    pid_of(copy, ["local-ai run"])


def test_a_localai_that_lets_everybody_in_is_not_proven(copy: Clone) -> None:
    """Its program is exchanged for one that forgets the key, which is told it all the same."""
    (program,) = copy.path.glob(".sightline/host/localai/v4.9.0-*/bin/local-ai")
    program.rename(program.with_name("whole"))
    program.write_text(f'#!/bin/sh\nunset LOCALAI_API_KEY\nexec {program.with_name("whole")} "$@"\n')
    program.chmod(0o755)
    os.kill(pid_of(copy, ["local-ai run"]), signal.SIGTERM)
    deadline = time.monotonic() + 60
    while not [line for line in copy.processes() if "bin/whole run" in line] or not answers(copy.port):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    ended = copy.run("scripts/prove", "--questions", "18")
    assert ended.returncode == 1
    assert "with no key /v1/models gives 200 instead of 401" in ended.stdout


def test_down_leaves_nothing(copy: Clone, before: list[str]) -> None:
    assert copy.run("scripts/down").returncode == 0
    assert copy.processes() == []
    assert files_below(copy.path) == before
    # The copy's .venv is a link: what it leads to is not the copy's to remove.
    assert (CHECKOUT / ".venv/controller/bin/ansible-playbook").exists()
