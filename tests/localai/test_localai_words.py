"""sightline-localai without LocalAI: what it lays out, what it passes on, and what it refuses to start."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from sightline_localai.cli import main, settings_from
from sightline_localai.gguf import Head, read_head
from sightline_localai.start import Start, prepare
from sightline_start.errors import StartError

from sightline.catalogue import load_model
from sightline.layout import CHECKOUT
from sightline.localai import model_files

GGUF = CHECKOUT / "canary/weights/gguf"
PROJECTOR = "mmproj-canary-f16.gguf"
MANUAL = {
    "template": "manual",
    "text": "Look. USER: {question} ASSISTANT:",
    "preamble": "Look.",
    "roles": {"user": "USER:", "assistant": "ASSISTANT:"},
    "notes": "a test",
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Everything in its place: LocalAI, a model file with a template of its own, the pair, a key."""
    backend = tmp_path / "program/backends/cpu-llama-cpp"
    backend.mkdir(parents=True)
    (backend / "run.sh").write_text("#!/bin/sh\n")
    (backend / "metadata.json").write_text(json.dumps({"name": "cpu-llama-cpp", "alias": "llama-cpp"}))
    (tmp_path / "program/bin").mkdir()
    (tmp_path / "program/bin/local-ai").write_text("#!/bin/sh\n")
    (tmp_path / "program/bin/local-ai").chmod(0o755)
    (tmp_path / "program/program.json").write_text(json.dumps({"version": "v4.9.0", "image": ""}))
    shutil.copytree(GGUF, tmp_path / "weights/gguf")
    (tmp_path / "models").mkdir()
    for name, text in model_files({**load_model("canary"), "prompts": MANUAL}, "canary", {}).items():
        (tmp_path / "models" / name).write_text(text)
    (tmp_path / "key").write_text("# keys\nme sk-one\nsk-two\n")
    return tmp_path


def words(base: Path, *more: str) -> list[str]:
    found = ["--program", base / "program", "--models", base / "models", "--model", base / "weights"]
    found += ["--served-model-name", "canary", "--work", base / "work", "--api-key-file", base / "key"]
    return [*map(str, found), *more]


def start(base: Path, *more: str) -> Start:
    outer = {"PATH": "/usr/bin:/bin", "LOCALAI_API_KEY": "stale", "LOCALAI_P2P": "true"}
    return prepare(settings_from(words(base, *more))[0], outer)


def test_the_folders_and_the_environment_are_localais(base: Path) -> None:
    (base / "work/models").mkdir(parents=True)
    (base / "work/models/left-over.yaml").write_text("name: old")

    found = start(base, "--port", "8642", "--", "--debug")

    assert found.command == (str(base / "program/bin/local-ai"), "run", "--debug")
    assert sorted(path.name for path in (base / "work/models").iterdir()) == [
        "canary-f16.gguf", "canary.tmpl", "canary.yaml", PROJECTOR,
    ]  # fmt: skip
    assert (base / "work/models" / PROJECTOR).resolve() == (base / "weights/gguf" / PROJECTOR).resolve()
    own = found.environment
    assert own["LOCALAI_ADDRESS"] == "127.0.0.1:8642"
    assert own["LOCALAI_API_KEY"] == "sk-one,sk-two"
    assert own["LOCALAI_MODELS_PATH"] == str(base / "work/models")
    assert own["LOCALAI_BACKENDS_PATH"] == str(base / "program/backends")
    assert own["LOCALAI_DISABLE_WEBUI"] == "true"
    assert own["LOCALAI_AUTOLOAD_GALLERIES"] == own["LOCALAI_AUTOLOAD_BACKEND_GALLERIES"] == "false"
    assert "LOCALAI_P2P" not in own  # what lies about in the environment is not for this server
    assert own["PATH"] == "/usr/bin:/bin"
    for name in ("LOCALAI_DATA_PATH", "LOCALAI_CONFIG_DIR", "LOCALAI_GENERATED_CONTENT_PATH"):
        assert Path(own[name]).is_dir()
        assert Path(own[name]).is_relative_to(base / "work")


def test_its_pages_and_ipv6_where_they_are_asked_for(base: Path) -> None:
    own = start(base, "--web-ui", "--host", "::1").environment
    assert (own["LOCALAI_DISABLE_WEBUI"], own["LOCALAI_ADDRESS"]) == ("false", "[::1]:8080")


def test_a_container_gets_the_folders_and_the_key_stays_out_of_the_command(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = "docker.io/localai/localai:v4.9.0@sha256:" + "0" * 64
    (base / "program/program.json").write_text(json.dumps({"version": "v4.9.0", "image": image}))
    podman = base / "bin/podman"
    podman.parent.mkdir()
    podman.write_text("#!/bin/sh\n")
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", str(podman.parent))

    found = start(base, "--port", "8642", "--", "--debug")

    assert found.command[:3] == (str(podman), "run", "--rm")
    assert found.command[-3:] == (image, "run", "--debug")
    assert f"{base / 'weights'}:{base / 'weights'}:ro" in found.command
    assert f"{base / 'work'}:{base / 'work'}:rw" in found.command
    assert "LOCALAI_API_KEY" in found.command
    assert not [word for word in found.command if "sk-one" in word]
    assert found.environment["LOCALAI_API_KEY"] == "sk-one,sk-two"
    monkeypatch.setenv("PATH", str(base))
    with pytest.raises(StartError, match="no docker or podman to run"):
        start(base)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(base: Path) -> None:
        text = (base / name).read_text()
        assert old in text
        (base / name).write_text(text.replace(old, new))

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda base: (base / name).unlink()


def without_projector_type(base: Path) -> None:
    """As in files of 2023: another key of the same length stands in its place."""
    file = base / "weights/gguf" / PROJECTOR
    content = file.read_bytes()
    assert content.count(b"clip.projector_type") == 1
    file.write_bytes(content.replace(b"clip.projector_type", b"clip.projector_none"))


def swapped(base: Path) -> None:
    edit("models/canary.yaml", f"mmproj: {PROJECTOR}", "mmproj: canary-f16.gguf")(base)


def page(base: Path) -> None:
    """What the article's wget lines fetched: the page about the file."""
    (base / "weights/gguf" / PROJECTOR).write_bytes(b"<!doctype html>")


def version_1(base: Path) -> None:
    (base / "weights/gguf/canary-f16.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))


def cut_off(base: Path) -> None:
    file = base / "weights/gguf/canary-f16.gguf"
    file.write_bytes(file.read_bytes()[:200])


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "broken YAML": (edit("models/canary.yaml", "parameters:", "parameters: ["), "is no YAML .line"),
    "no YAML": (without("models/canary.yaml"), "canary.yaml cannot be read"),
    "a list": (lambda base: (base / "models/canary.yaml").write_text("- a"), "holds no keys"),
    "another name": (edit("models/canary.yaml", "name: canary", "name: llava"), "names its model 'llava'"),
    "no template file": (without("models/canary.tmpl"), "would take the word 'canary' itself for the prompt"),
    "a template without its input": (edit("models/canary.tmpl", "{{.Input}}", "input"), "would never reach"),
    "no template": (edit("models/canary.yaml", "chat: canary", "chap: canary"), "names no template"),
    "no mmproj": (edit("models/canary.yaml", "mmproj:", "mmprojector:"), "has no mmproj"),
    "no weights": (without("weights/gguf/canary-f16.gguf"), "holds no canary-f16.gguf"),
    "projector of 2023": (without_projector_type, "lacks clip.projector_type"),
    "the model as projector": (swapped, "is a language model, where the projector belongs"),
    "a web page": (page, "no GGUF file"),
    "GGUF version 1": (version_1, "GGUF version 1"),
    "half a file": (cut_off, "header cannot be read"),
    "no backend": (without("program/backends/cpu-llama-cpp/run.sh"), "backend llama-cpp is not installed"),
    "another backend": (edit("models/canary.yaml", "llama-cpp", "vllm"), "backend vllm is not installed"),
    "no LocalAI": (without("program/bin/local-ai"), "local-ai is missing"),
    "no program": (without("program/program.json"), "holds no LocalAI"),
    "no key": (without("key"), "No such file"),
    "an empty key file": (edit("key", "me sk-one\nsk-two\n", ""), "holds no key"),
    "a key with a comma": (edit("key", "sk-two", "sk,two"), "takes a comma for the end of a key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_localai_would_pass_over_is_refused(
    base: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, why = REFUSED[case]
    change(base)
    with pytest.raises(StartError, match=why):
        start(base)
    assert main(words(base)) == 1
    said = capsys.readouterr().err
    assert said.startswith("sightline-localai: ")
    assert said.count("\n") == 1
    assert not (base / "work").exists()


def test_a_look_alone(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(base, "--check")) == 0
    assert capsys.readouterr().out == "nothing stands in the way of canary\n"


@pytest.mark.parametrize(
    "wrong", [("--port", "0"), ("--host", "gpu1"), ("--max-model-len", "9")], ids=lambda words: words[0]
)
def test_wrong_words(base: Path, wrong: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings_from(words(base, *wrong))
    assert ended.value.code == 2


def test_heads() -> None:
    """What canary/export_gguf.py writes."""
    assert read_head(GGUF / PROJECTOR) == Head("clip", "mlp")
    assert read_head(GGUF / "canary-f16.gguf") == Head("llama", "")
