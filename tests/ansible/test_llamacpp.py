"""The other engine: the canary's GGUF pair on llama.cpp, deployed, proven, and taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.ansible.clones import Clone, cloned, files_below, pid_of

pytestmark = pytest.mark.slow

LLAMACPP = ("-e", "sightline_engine=llamacpp")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with cloned(tmp_path_factory.mktemp("llamacpp")) as made:
        yield made


@pytest.fixture(scope="module")
def before(copy: Clone) -> list[str]:
    return files_below(copy.path)


def changed(output: str) -> int:
    line = re.search(r"^local\s*: .*changed=(\d+)", output, flags=re.MULTILINE)
    assert line, output
    return int(line[1])


def test_what_it_cannot_serve_is_refused_before_anything_is_touched(copy: Clone, before: list[str]) -> None:
    ended = copy.up(*LLAMACPP, "-e", "sightline_model=qwen2.5-vl-7b")
    assert ended.returncode != 0
    assert "nothing was changed" in ended.stdout
    assert "llamacpp" in ended.stdout
    assert copy.processes() == []
    other = copy.up(*LLAMACPP, "-e", "sightline_release=cpu")
    assert "release cpu carries no engine llamacpp" in other.stdout


def test_it_is_deployed_without_pytorch_and_proven_to_see(copy: Clone) -> None:
    ended = copy.up(*LLAMACPP)
    assert ended.returncode == 0
    assert "local: PROVEN" in ended.stdout
    pid_of(copy, ["sightline_llamacpp", "--api-key-file"])
    installed = [path.name for path in copy.path.glob(".sightline/host/env/*/lib/python3*/site-packages/*")]
    assert "xllamacpp" in installed
    assert "torch" not in installed


def test_again_changes_nothing(copy: Clone) -> None:
    ended = copy.up(*LLAMACPP, "--tags", "environment,model,serve")
    assert changed(ended.stdout) == 0


def test_its_own_options_reach_it_and_only_those_it_knows(copy: Clone) -> None:
    words = ("--tags", "environment,model,serve", "-e", "sightline_context=512", "-e", "sightline_pictures=2")
    assert copy.up(*LLAMACPP, *words).returncode == 0
    pid = pid_of(copy, ["sightline_llamacpp", "--max-model-len 512"])
    command = next(line for line in copy.processes() if line.startswith(f"{pid} "))
    assert "--max-images" not in command


def test_the_other_engine_takes_its_place_and_down_leaves_nothing(copy: Clone, before: list[str]) -> None:
    ended = copy.up("--tags", "environment,model,serve")
    assert ended.returncode == 0
    pid_of(copy, ["sightline_serve"])
    assert not [line for line in copy.processes() if "sightline_llamacpp" in line]
    assert copy.run("scripts/down").returncode == 0
    assert copy.processes() == []
    assert files_below(copy.path) == before
