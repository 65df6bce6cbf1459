"""LocalAI on the controller: its model file, its pins, and what the plan says of both."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.catalogue import load_model, load_release
from sightline.layout import CHECKOUT
from sightline.localai import ModelFileProblem, PinProblem, Wishes, model_files, published_sha256, read_wishes
from tests.unit.test_plan import Inputs

SETTINGS = {"version": "v4.9.0", "as": "binary"}
SUM = "ab" * 32
ASSET = "local-ai-v4.9.0-linux-amd64"
LIST = f"{'0' * 64}  local-ai-v4.9.0-linux-arm64\n{SUM} *{ASSET}\n"
URL = "https://localhost/LocalAI-v4.9.0-checksums.txt"


# --- the model file ----------------------------------------------------------------------------------------


def test_every_key_of_the_article_from_the_catalogue() -> None:
    """llava.yaml and llava.tmpl as the article has them, in today's spelling."""
    entry = load_model("llava-1.5-7b-gguf")
    files = model_files(entry, "llava", {"threads": 11, "gpu_layers": 90}, 4096)
    assert yaml.safe_load(files["llava.yaml"]) == {
        "name": "llava",
        "backend": "llama-cpp",
        "known_usecases": ["chat", "vision"],
        "context_size": 4096,
        "f16": True,
        "threads": 11,
        "gpu_layers": 90,
        "mmap": True,
        "roles": {"user": "USER:", "assistant": "ASSISTANT:", "system": "SYSTEM:"},
        "mmproj": "mmproj-model-f16.gguf",
        "parameters": {"model": "ggml-model-q4_k.gguf", "temperature": 0.2, "top_k": 40, "top_p": 0.95},
        "template": {"chat": "llava"},
    }
    assert files["llava.tmpl"] == (
        "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
        "helpful, detailed, and polite answers to the human's questions.\n{{.Input}}\nASSISTANT:"
    )


def test_the_canary_is_asked_by_its_own_template() -> None:
    files = model_files(load_model("canary"), "canary", {}, 0, 4)
    assert list(files) == ["canary.yaml"]
    told = yaml.safe_load(files["canary.yaml"])
    assert told["template"] == {"use_tokenizer_template": True}
    # Made for 2048 tokens, four conversations at once, among which llama.cpp shares its context out.
    assert (told["context_size"], told["options"]) == (8192, ["parallel:4"])
    assert told["parameters"]["model"] == "canary-f16.gguf"


def test_values_of_ansibles_own_types_become_plain_ones() -> None:
    class Word(str):
        pass

    class Number(int):
        pass

    free = {Word("threads"): Number(2), "stopwords": [Word("USER:")]}
    told = yaml.safe_load(model_files(load_model("canary"), "canary", free)["canary.yaml"])
    assert (told["threads"], told["stopwords"]) == (2, ["USER:"])


@pytest.mark.parametrize(
    ("free", "why"),
    [
        ({"gpu_layer": 90}, "has the key 'gpu_layer'"),
        ({"threads": "11"}, "threads is '11', not of the type int"),
        ({"threads": True}, "threads is True"),
    ],
)
def test_a_key_that_localai_would_ignore_is_refused(free: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelFileProblem, match=why):
        model_files(load_model("canary"), "canary", free)


def test_an_entry_without_a_pair_or_roles_is_refused() -> None:
    with pytest.raises(ModelFileProblem, match=r"no GGUF file\(s\) with the role weights"):
        model_files(load_model("qwen2.5-vl-7b"), "qwen", {})
    entry = load_model("llava-1.5-7b-gguf")
    entry = {**entry, "prompts": {key: value for key, value in entry["prompts"].items() if key != "roles"}}
    with pytest.raises(ModelFileProblem, match=r"prompts\.roles is not there"):
        model_files(entry, "llava", {})


# --- the published checksum --------------------------------------------------------------------------------


def test_it_is_fetched_once_and_held_to(tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return LIST.encode() if len(asked) == 1 else LIST.replace(SUM, "cd" * 32).encode()

    kept = tmp_path / "pins/one.txt"
    assert published_sha256(URL, ASSET, kept, fetch) == SUM
    # A release whose file was exchanged later has another list too: it is not asked again.
    assert published_sha256(URL, ASSET, kept, fetch) == SUM
    assert asked == [URL]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no local-ai"),
        ("<html>not found</html>", "names no local-ai"),
        (f"{SUM}  other\n", "names no local-ai"),
        (f"{SUM}  {ASSET}\n{'cd' * 32}  {ASSET}\n", "names no local-ai"),
        (f"{SUM[:-1]}  {ASSET}\n", "names no local-ai"),
    ],
)
def test_a_list_that_does_not_tell_it(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(PinProblem, match=why):
        published_sha256(URL, ASSET, tmp_path / "kept", lambda url: text.encode())
    assert not (tmp_path / "kept").exists()


def test_only_https_is_believed(tmp_path: Path) -> None:
    with pytest.raises(PinProblem, match="only https is believed"):
        published_sha256(URL.replace("https", "http"), ASSET, tmp_path / "kept")


# --- wishes ------------------------------------------------------------------------------------------------


def test_the_versions_own_places_are_the_defaults() -> None:
    found = read_wishes(SETTINGS, "x86_64")
    releases = "https://github.com/mudler/LocalAI/releases/download/v4.9.0"
    assert found.binary == f"{releases}/{ASSET}"
    assert found.checksums == f"{releases}/LocalAI-v4.9.0-checksums.txt"
    assert found.backend == "oci://quay.io/go-skynet/local-ai-backends:v4.9.0-cpu-llama-cpp"
    assert read_wishes(SETTINGS, "aarch64").asset == "local-ai-v4.9.0-linux-arm64"


def test_another_file_in_the_same_place_is_another_folder(tmp_path: Path) -> None:
    binary = tmp_path / "local-ai"
    binary.write_text("one")
    first = read_wishes({**SETTINGS, "binary": str(binary)}, "x86_64")
    assert first.binary_sha256 == hashlib.sha256(b"one").hexdigest()
    assert first.folder.startswith("v4.9.0-")
    assert first.from_controller == (str(binary),)
    binary.write_text("two")
    assert read_wishes({**SETTINGS, "binary": str(binary)}, "x86_64").folder != first.folder


# --- the plan ----------------------------------------------------------------------------------------------


def planned(**settings: Any) -> Inputs:
    inputs = Inputs()
    inputs.model, inputs.release = load_model("canary"), load_release("localai-cpu")
    inputs.settings |= {"engine": "localai", "localai": {**SETTINGS, **settings}}
    return inputs


def test_nothing_stands_in_the_way_and_what_is_believed_is_told() -> None:
    plan = planned().plan()
    assert plan.refusals == ()
    notes = " ".join(plan.notes)
    assert "fetched once and remembered" in notes
    assert "a tag that its owner can move" in notes
    assert "never run by this project" in notes


def test_of_what_is_pinned_nothing_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "llama-cpp.tar"
    archive.write_text("an image")
    notes = " ".join(planned(binary_sha256=SUM, backend=str(archive)).plan().notes)
    assert "remembered" not in notes
    assert "can move" not in notes


IMAGE = "docker.io/localai/localai:v4.9.0"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"version": "latest"}, "sightline_localai_version is 'latest'"),
    "as": ({"as": "docker"}, "sightline_localai_as is 'docker'"),
    "image by tag": ({"as": "container", "image": IMAGE}, f"sightline_localai_image is '{IMAGE}'"),
    "no image": ({"as": "container"}, "sightline_localai_image is ''"),
    "plain http": ({"binary": "http://mirror/local-ai"}, "sightline_localai_binary is http://mirror"),
    "no such file": ({"binary": "/nowhere/local-ai"}, "there is no such file here"),
    "half a sum": ({"binary_sha256": "abc"}, "sightline_localai_binary_sha256 is 'abc'"),
    "docker address": ({"backend": "docker://x/y"}, "sightline_localai_backend is docker://x/y"),
    "key": ({"model": {"gpu_layer": 1}}, "has the key 'gpu_layer'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_refusal_fires_alone(case: str) -> None:
    settings, what = REFUSED[case]
    (refusal,) = planned(**settings).plan().refusals
    assert what in refusal.what
    assert refusal.remedy


def test_another_file_than_the_sum_says(tmp_path: Path) -> None:
    binary = tmp_path / "local-ai"
    binary.write_text("one")
    (refusal,) = planned(binary=str(binary), binary_sha256=SUM).plan().refusals
    assert hashlib.sha256(b"one").hexdigest() in refusal.what
    assert SUM in refusal.why


def test_a_bundle_does_not_hold_localai(tmp_path: Path) -> None:
    files = {"binary": tmp_path / "local-ai", "backend": tmp_path / "llama-cpp.tar"}
    for file in files.values():
        file.write_text("one")
    bundle: dict[str, object] = {
        "place": "/srv/bundle",
        "machine": "x86_64",
        "models": {},
        "distribution": ["debian", "12"],
    }
    bundle |= {"wanted": [], "locks": {"3.11": []}}
    inputs = planned(binary=str(files["binary"]))
    inputs.settings["bundle"] = bundle
    (refusal,) = inputs.plan().refusals
    backend = "oci://quay.io/go-skynet/local-ai-backends:v4.9.0-cpu-llama-cpp"
    assert refusal.what == f"LocalAI would come from {backend}"
    inputs = planned(**{name: str(file) for name, file in files.items()})
    inputs.settings["bundle"] = bundle
    assert inputs.plan().refusals == ()


def without_projector_type(content: bytes) -> bytes:
    """As in files of 2023: another key of the same length stands in its place."""
    assert content.count(b"clip.projector_type") == 1
    return content.replace(b"clip.projector_type", b"clip.projector_none")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_projector_type, "is a projector without clip.projector_type"),
        (lambda content: b"<html>" + content, "does not begin with GGUF"),
        (lambda content: b"GGUF" + bytes([1]) + content[5:], "GGUF version 1"),
    ],
    ids=["projector of 2023", "web page", "version 1"],
)
@pytest.mark.parametrize("engine", ["localai", "llamacpp"])
def test_a_pair_of_this_checkout_that_llama_cpp_refuses_is_refused_by_plan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    change: Callable[[bytes], bytes],
    why: str,
) -> None:
    monkeypatch.setattr("sightline.plan.gguf.CHECKOUT", tmp_path)
    shutil.copytree(CHECKOUT / "canary/weights/gguf", tmp_path / "canary/weights/gguf")
    inputs = planned()
    inputs.release, inputs.settings["engine"] = load_release(f"{engine}-cpu"), engine
    assert inputs.plan().refusals == ()
    file = tmp_path / "canary/weights/gguf/mmproj-canary-f16.gguf"
    file.write_bytes(change(file.read_bytes()))
    (refusal,) = inputs.plan().refusals
    assert (refusal.check, refusal.step) == ("pair_can_be_loaded", "model")
    assert why in refusal.what


def test_a_container_image_by_its_digest_will_do() -> None:
    plan = planned(**{"as": "container"}, image=f"{IMAGE}@sha256:{SUM}").plan()
    assert plan.refusals == ()
    assert read_wishes({**SETTINGS, "as": "container", "image": IMAGE}, "x86_64").binary == ""


def test_other_engines_are_not_asked_about_it() -> None:
    inputs = Inputs()
    inputs.settings["localai"] = {"version": "latest", "as": ""}
    assert inputs.plan().refusals == ()


@pytest.mark.parametrize("field", ["binary", "backend_sha256", "image", "version"])
def test_each_wish_names_another_folder(field: str) -> None:
    found = read_wishes(SETTINGS, "x86_64")
    assert Wishes(**{**asdict(found), field: "other"}).folder != found.folder
