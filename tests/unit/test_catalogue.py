"""The catalogue: every entry is right, and each way of being wrong is refused with file, key and remedy."""

from __future__ import annotations

import copy
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sightline.catalogue import (
    CATALOGUE,
    CatalogueError,
    catalogue_problems,
    entry_problems,
    files_fingerprint,
    folder_problems,
    load_model,
    load_release,
    missing_facts,
    names,
    stamp,
)
from sightline.catalogue.__main__ import main

Entry = dict[str, Any]
Change = Callable[[Entry], object]

SHA = "0123456789abcdef" * 4
ROOT = Path(__file__).resolve().parents[2]


def entry(kind: str, name: str) -> Entry:
    return copy.deepcopy(load_model(name) if kind == "model" else load_release(name))


# --- what is committed ------------------------------------------------------------------------------------


def test_everything_committed_is_valid_and_hangs_together() -> None:
    assert catalogue_problems() == []


def test_the_promised_entries_are_there() -> None:
    wanted = {"canary", "llama-3.2-90b-vision-bnb-4bit", "llama-3.2-11b-vision-bnb-4bit", "phi-3-vision-128k"}
    assert wanted | {"llava-1.5-7b-gguf", "qwen2.5-vl-7b"} <= set(names("model"))
    assert {"cpu", "seed-cu124"} <= set(names("release"))


@pytest.mark.parametrize("kind", ["model", "release"])
def test_the_schemas_are_strict_and_explain_every_key(kind: str) -> None:
    schema = json.loads((CATALOGUE / "schema" / f"{kind}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    unexplained, open_objects = [], []

    def walk(rule: Entry, at: str) -> None:
        for key, inner in rule.get("properties", {}).items():
            if "provenance" not in at and "description" not in inner and "$ref" not in inner:
                unexplained.append(f"{at}.{key}")
            walk(inner, f"{at}.{key}")
        if rule.get("type") in ("object", ["object", "null"]) and rule.get("additionalProperties") is None:
            open_objects.append(at)
        walk(rule["items"], f"{at}[]") if "items" in rule else None

    walk(schema, kind)
    assert (unexplained, open_objects) == ([], [])


def test_the_canary_entry_is_the_canary_folder() -> None:
    model = load_model("canary")
    assert model["files"], "run scripts/catalogue stamp canary"
    assert folder_problems(model) == []
    assert missing_facts(model) == []


def test_the_canary_figures_are_those_of_its_configuration() -> None:
    model = load_model("canary")
    config = json.loads((CATALOGUE.parent / model["source"]["path"] / "config.json").read_text())
    text, vision = model["architecture"]["text"], model["architecture"]["vision"]
    for ours, theirs in (("layers", "num_hidden_layers"), ("hidden_size", "hidden_size")):
        assert text[ours] == config["text_config"][theirs]
        assert vision[ours] == config["vision_config"][theirs]
    for ours, theirs in (
        ("intermediate_size", "intermediate_size"),
        ("attention_heads", "num_attention_heads"),
        ("kv_heads", "num_key_value_heads"),
        ("vocabulary", "vocab_size"),
        ("max_context", "max_position_embeddings"),
    ):
        assert text[ours] == config["text_config"][theirs], ours
    assert vision["image_size"] == config["vision_config"]["image_size"]
    assert vision["patch_size"] == config["vision_config"]["patch_size"]
    side = vision["image_size"] // vision["patch_size"]
    assert model["architecture"]["picture_tokens"]["tokens"] == side * side


def test_the_canary_weighs_what_its_weights_weigh() -> None:
    model = load_model("canary")
    content = (CATALOGUE.parent / model["source"]["path"] / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8 : 8 + length])
    counts = {name: math.prod(one["shape"]) for name, one in tensors.items() if name != "__metadata__"}
    text = sum(count for name, count in counts.items() if name.startswith("language_model."))
    assert model["parameters"] == {"total": sum(counts.values()), "vision": sum(counts.values()) - text}
    assert {one["dtype"] for name, one in tensors.items() if name != "__metadata__"} == {"F16"}
    assert model["quantisation"] == {"method": "none", "bits_per_weight": 16, "compute_dtype": "float16"}


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        ("llama-3.2-11b-vision-bnb-4bit", 128),
        ("llama-3.2-90b-vision-bnb-4bit", 320),
        ("llava-1.5-7b-gguf", 512),
        ("phi-3-vision-128k", 384),
        ("qwen2.5-vl-7b", 56),
    ],
)
def test_architecture_numbers_give_the_published_kv_cache(name: str, kib: int) -> None:
    """Keys and values of every self-attention layer, 2 bytes each: published per token for each model."""
    text = load_model(name)["architecture"]["text"]
    layers = text["layers"] - text["cross_attention_layers"]
    assert 2 * layers * text["kv_heads"] * text["head_dim"] * 2 == kib * 1024


@pytest.mark.parametrize(
    ("name", "mib"), [("llama-3.2-11b-vision-bnb-4bit", 200), ("llama-3.2-90b-vision-bnb-4bit", 500)]
)
def test_architecture_numbers_give_the_published_cross_states(name: str, mib: int) -> None:
    architecture = load_model(name)["architecture"]
    text, picture = architecture["text"], architecture["picture_tokens"]
    states = picture["max_tiles"] * picture["tokens_per_tile"]
    size = 2 * text["cross_attention_layers"] * text["kv_heads"] * text["head_dim"] * 2 * states
    assert size / 2**20 == pytest.approx(mib, rel=0.01)


def test_stated_bytes_are_those_that_others_published() -> None:
    qwen = sum(file["size"] for file in load_model("qwen2.5-vl-7b")["files"] if file["role"] == "weights")
    assert qwen / 2**30 == pytest.approx(15.45, abs=0.01)
    projector = next(file for file in load_model("llava-1.5-7b-gguf")["files"] if file["role"] == "projector")
    assert projector["size"] / 2**20 == pytest.approx(595.5, abs=0.1)
    llama = load_model("llama-3.2-90b-vision-bnb-4bit")
    shards = [file["size"] for file in llama["files"] if file["role"] == "weights"]
    assert (len(shards), round(sum(shards) / 1e9, 1)) == (10, 48.9)


def test_a_hub_model_without_all_hashes_says_what_is_missing() -> None:
    missing = missing_facts(load_model("llama-3.2-11b-vision-bnb-4bit"))
    assert missing == ["the exact size of 7 of 10 files", "the sha256 of 10 of 10 files"]


# --- broken fixtures --------------------------------------------------------------------------------------


def set_at(path: str, value: object) -> Change:
    def change(entry: Entry) -> None:
        *parents, last = path.split(".")
        for key in parents:
            entry = entry[int(key)] if isinstance(entry, list) else entry[key]
        entry[last] = value

    return change


def drop(path: str) -> Change:
    def change(entry: Entry) -> None:
        *parents, last = path.split(".")
        for key in parents:
            entry = entry[key]
        del entry[last]

    return change


def duplicate_file(entry: Entry) -> None:
    entry["files"].append(dict(entry["files"][0]))


LLAVA_BROKEN = {
    "missing commit": (drop("source.commit"), "source.commit", "is missing", "40 hexadecimal digits"),
    "null commit unmarked": (
        set_at("source.commit", None),
        "provenance.commit.status",
        '"stated" is not "unknown"',
        "null commit",
    ),
    "39-hex commit": (
        set_at("source.commit", "9b713a64048c7f982ec3969e60e9f61f7a2730c"),
        "source.commit",
        "(39 characters)",
        "full 40-digit commit",
    ),
    "branch as commit": (set_at("source.commit", "main"), "source.commit", '"main"', "branch"),
    "upper-case sha256": (set_at("files.0.sha256", SHA.upper()), "files[0].sha256", "form", "64 small"),
    "short sha256": (set_at("files.0.sha256", SHA[:-1]), "files[0].sha256", "(63 characters)", "64 small"),
    "null sha256 unmarked": (
        set_at("files.1.sha256", None),
        "files[1].sha256",
        "null is not a text",
        "provenance.file_hashes.unknown",
    ),
    "size 0": (set_at("files.0.size", 0), "files[0].size", "0 is not above 0", "exact number of bytes"),
    "size as text": (
        set_at("files.0.size", "4 GB"),
        "files[0].size",
        '"4 GB" is not a whole number',
        "bytes",
    ),
    "size as fraction": (set_at("files.0.size", 4.5), "files[0].size", "4.5 is not a whole number", "bytes"),
    "null size unmarked": (
        set_at("files.0.size", None),
        "files[0].size",
        "null",
        "provenance.file_sizes.unknown",
    ),
    "both sizes": (
        set_at("files.0.approx_size", 5),
        "files[0].approx_size",
        "does not belong",
        "take it out",
    ),
    "unknown key": (set_at("licens", "MIT"), "licens", "unknown key", "did you mean 'licence'?"),
    "unknown inner key": (
        set_at("files.0.md5", "x"),
        "files[0].md5",
        "unknown key",
        "known here: path, size",
    ),
    "wrong type": (set_at("files", {"a": 1}), "files", "is not a list", "Every file that a deployment needs"),
    "duplicate file": (duplicate_file, "files", "'ggml-model-q4_k.gguf' stands there 2 times", "one line"),
    "absolute path": (set_at("files.0.path", "/etc/passwd"), "files[0].path", "form", "without a leading /"),
    "path out": (set_at("files.0.path", "../../x.gguf"), "files[0].path", "form", "or .."),
    "path out in the middle": (set_at("files.0.path", "a/../x.gguf"), "files[0].path", "form", "or .."),
    "path for a hub": (
        set_at("source.path", "canary"),
        "source.path",
        "does not belong here",
        "`repo` and `commit`",
    ),
    "unknown engine": (
        set_at("engines.can_serve.0.engine", "olama"),
        "engines.can_serve[0].engine",
        '"olama" is none of',
        "llamacpp",
    ),
    "unmarked null figure": (
        set_at("architecture.text.layers", None),
        "provenance.architecture",
        "text.layers is null without a mark",
        "provenance.architecture.unknown",
    ),
    "stale mark": (
        set_at("provenance.licence.unknown", ["id", "name"]),
        "provenance.licence.unknown",
        "marks 'name' as unknown",
        "take the mark away",
    ),
    "stale unknown": (
        set_at("provenance.parameters", {"status": "unknown", "source": "x"}),
        "provenance.parameters",
        "says unknown, but the values are there",
        "stated or checked_here",
    ),
    "no source": (
        drop("provenance.prompts.source"),
        "provenance.prompts.source",
        "is missing",
        "Who says so",
    ),
    "rule without its number": (
        drop("architecture.picture_tokens.tokens"),
        "architecture.picture_tokens.tokens",
        "is missing",
        "add it",
    ),
    "manual prompt without text": (drop("prompts.text"), "prompts.text", "is missing", "add it"),
    "schema 2": (set_at("schema", 2), "schema", "2 is not 1", "schema: 1"),
}

CPU_BROKEN = {
    "python unquoted": (set_at("python.minimum", 3.11), "python.minimum", "is not a text", "quotes"),
    "python upside down": (set_at("python.below", "3.11"), "python", "no version lies between", "`below`"),
    "driver on a cpu": (set_at("driver", {"floor": "550.54.14"}), "driver", "is not null", "CPU release"),
    "loose version": (set_at("packages.torch", ">=2.5"), "packages.torch", "form", "exact version"),
    "lock outside": (set_at("lock_files", ["../x.txt"]), "lock_files[0]", "form", "requirements/"),
    "unknown architecture": (set_at("architectures", ["amd64"]), "architectures[0]", '"amd64"', "x86_64"),
    "unknown key": (set_at("cudn", "9"), "cudn", "unknown key", "did you mean 'cudnn'?"),
    "null without mark": (
        set_at("packages.torch", None),
        "provenance.packages",
        "torch is null without a mark",
        "provenance.packages.unknown",
    ),
}


@pytest.mark.parametrize("fault", LLAVA_BROKEN)
def test_a_broken_model_is_refused_with_file_key_and_remedy(fault: str) -> None:
    change, key, what, remedy = LLAVA_BROKEN[fault]
    broken = entry("model", "llava-1.5-7b-gguf")
    assert entry_problems("model", broken, "catalogue/models/x.yml") == []
    change(broken)
    problems = entry_problems("model", broken, "catalogue/models/x.yml")
    found = [problem for problem in problems if problem.key == key]
    assert found, problems
    assert what in found[0].what
    assert remedy in found[0].remedy
    assert str(found[0]).startswith(f"catalogue/models/x.yml: {key}: ")


@pytest.mark.parametrize("fault", CPU_BROKEN)
def test_a_broken_release_is_refused_with_file_key_and_remedy(fault: str) -> None:
    change, key, what, remedy = CPU_BROKEN[fault]
    broken = entry("release", "cpu")
    change(broken)
    problems = entry_problems("release", broken, "catalogue/releases/x.yml")
    found = [problem for problem in problems if problem.key == key]
    assert found, problems
    assert what in found[0].what
    assert remedy in found[0].remedy


def test_a_cuda_release_must_name_driver_cuda_and_cudnn() -> None:
    broken = entry("release", "seed-cu124") | {"driver": None, "cuda": None, "cudnn": None}
    keys = {problem.key for problem in entry_problems("release", broken, "x")}
    assert {"driver", "cuda", "cudnn"} <= keys


def test_a_null_commit_with_its_mark_is_valid_and_cannot_be_deployed() -> None:
    model = entry("model", "llava-1.5-7b-gguf")
    model["source"]["commit"] = None
    model["provenance"]["commit"] = {"status": "unknown", "source": "not found"}
    assert entry_problems("model", model, "x") == []
    assert missing_facts(model) == ["the commit"]


def test_a_null_size_and_hash_with_their_marks_are_valid_and_cannot_be_deployed() -> None:
    model = entry("model", "llava-1.5-7b-gguf")
    file = model["files"][0]
    file["size"] = file["sha256"] = None
    for group in ("file_sizes", "file_hashes"):
        model["provenance"][group]["unknown"] = [file["path"]]
    assert entry_problems("model", model, "x") == []
    assert missing_facts(model) == ["the exact size of 1 of 2 files", "the sha256 of 1 of 2 files"]


def test_a_list_of_files_may_be_marked_as_not_whole() -> None:
    model = entry("model", "llava-1.5-7b-gguf")
    model["provenance"]["file_list"] = {"status": "unknown", "source": "half a page"}
    assert entry_problems("model", model, "x") == []
    assert missing_facts(model) == ["the list of files"]


def test_an_empty_list_of_files_must_be_marked() -> None:
    model = entry("model", "llava-1.5-7b-gguf") | {"files": []}
    assert any("files is null without a mark" in str(p) for p in entry_problems("model", model, "x"))
    model["provenance"]["file_list"] = {"status": "unknown", "source": "not found"}
    assert entry_problems("model", model, "x") == []
    assert missing_facts(model) == ["the list of files"]


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=documents, key=st.sampled_from(sorted(entry("model", "llava-1.5-7b-gguf"))))
def test_any_rubbish_in_any_place_gives_problems_and_no_traceback(value: object, key: str) -> None:
    rubbish = entry("model", "llava-1.5-7b-gguf") | {key: value}
    for problem in entry_problems("model", rubbish, "x.yml"):
        assert problem.what
        assert problem.remedy
    assert entry_problems("release", value, "x.yml")


# --- loading ----------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A checkout of its own, with the catalogue's entries and a model folder."""
    root = tmp_path / "catalogue"
    shutil.copytree(CATALOGUE, root)
    weights = tmp_path / "canary" / "weights"
    (weights / "gguf").mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    (weights / "gguf" / "mmproj-canary-f16.gguf").write_bytes(b"projector")
    (weights / "README.md").write_text("A card.\n")
    (weights / ".hidden").write_text("not part of it")
    model = yaml.safe_load((root / "models" / "canary.yml").read_text())
    for group in ("file_list", "file_sizes", "file_hashes"):
        model["provenance"][group] = {"status": "checked_here", "source": "a test"}
    line = f'  - {{path: old.bin, size: 1, sha256: "{SHA}", role: support}}\n'
    text = "# a comment that stays\n" + yaml.safe_dump(model | {"files": []}, sort_keys=False)
    (root / "models" / "canary.yml").write_text(text.replace("files: []\n", "files:\n" + line))
    return root


def problem_of(call: Callable[[], object]) -> str:
    with pytest.raises(CatalogueError) as caught:
        call()
    return str(caught.value)


def test_a_misspelt_name_gets_a_suggestion() -> None:
    assert "did you mean 'canary'?" in problem_of(lambda: load_model("canery"))
    message = problem_of(lambda: load_model("llama-3.2-90b-vision"))
    assert "did you mean 'llama-3.2-90b-vision-bnb-4bit'?" in message
    assert "There are: cpu, gateway, gateway-oci, llamacpp-cpu, localai-cpu, phi3-cpu" in problem_of(
        lambda: load_release("zzzzzz")
    )


@pytest.mark.parametrize("name", ["../releases/cpu", "", "canary.yml", "/etc/passwd"])
def test_a_name_that_is_no_entry_is_never_opened(name: str) -> None:
    assert "there is no model called" in problem_of(lambda: load_model(name))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [1, 2\n", "line 2"),
        ("- a\n- b\n", "holds no mapping"),
        ("schema: 1\nschema: 1\n", "'schema' stands here twice"),
        ("files:\n  - {path: a, path: b}\n", "line 2: the key 'path' stands here twice"),
        ("1: x\n", "is not a text"),
        ("a: !!python/object:os.system x\n", "line 1"),
        ("\ta: 1\n", "line 1"),
    ],
)
def test_bad_yaml_is_refused_with_its_line(own: Path, text: str, says: str) -> None:
    (own / "models" / "bad.yml").write_text(text)
    message = problem_of(lambda: load_model("bad", own))
    assert message.startswith("catalogue/models/bad.yml")
    assert says in message
    assert "Remedy:" in message


def test_a_file_that_is_not_text_is_refused(own: Path) -> None:
    (own / "models" / "bad.yml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in problem_of(lambda: load_model("bad", own))


def test_name_and_file_name_must_agree(own: Path) -> None:
    shutil.copy(own / "models" / "llava-1.5-7b-gguf.yml", own / "models" / "other.yml")
    assert "give both the same name" in problem_of(lambda: load_model("other", own))


def test_an_engine_entry_must_name_a_release_that_is_there_and_carries_it(own: Path) -> None:
    path = own / "models" / "qwen2.5-vl-7b.yml"
    text = path.read_text()
    path.write_text(text.replace("releases: [cpu]", "releases: [cpuu]"))
    assert any("there is no release 'cpuu'" in str(problem) for problem in catalogue_problems(own))
    path.write_text(text.replace("loader: transformers", "loader: phi3"))
    assert any("release 'cpu' carries no" in str(problem) for problem in catalogue_problems(own))
    path.write_text(text)
    assert catalogue_problems(own) == []


# --- the folder of a model in this repository -------------------------------------------------------------


def test_stamp_writes_the_list_and_keeps_the_rest(own: Path) -> None:
    path = own / "models" / "canary.yml"
    before = yaml.safe_load(path.read_text())
    assert folder_problems(load_model("canary", own), own)
    assert stamp("canary", own) == 3
    after = yaml.safe_load(path.read_text())
    assert path.read_text().startswith("# a comment that stays\n")
    assert [(file["path"], file["role"]) for file in after["files"]] == [
        ("README.md", "document"),
        ("gguf/mmproj-canary-f16.gguf", "projector"),
        ("model.safetensors", "weights"),
    ]
    # sha256 of the seven bytes "weights", by coreutils' sha256sum
    assert after["files"][2]["size"] == 7
    assert after["files"][2]["sha256"].startswith("9a129038d9a00aed")
    assert {**before, "files": 0} == {**after, "files": 0}
    assert folder_problems(load_model("canary", own), own) == []
    text = path.read_text()
    stamp("canary", own)
    assert path.read_text() == text


def test_each_change_of_the_folder_is_seen(own: Path) -> None:
    stamp("canary", own)
    model = load_model("canary", own)
    weights = own.parent / "canary" / "weights"
    (weights / "model.safetensors").write_bytes(b"weightz")
    assert ["sha256" in problem.what for problem in folder_problems(model, own)] == [True]
    (weights / "model.safetensors").unlink()
    assert ["not in the folder" in problem.what for problem in folder_problems(model, own)] == [True]
    (weights / "model.safetensors").write_bytes(b"weights")
    (weights / "stray").write_bytes(b"")
    assert ["not in the entry" in problem.what for problem in folder_problems(model, own)] == [True]
    shutil.rmtree(weights)
    assert ["there is no folder" in problem.what for problem in folder_problems(model, own)] == [True]


def test_stamp_refuses_what_it_cannot_stamp_and_leaves_the_entry(own: Path) -> None:
    path = own / "models" / "canary.yml"
    text = path.read_text()
    assert "comes from a hub" in problem_of(lambda: stamp("qwen2.5-vl-7b", own))
    assert "there is no model" in problem_of(lambda: stamp("nothing", own))
    (own.parent / "canary" / "weights" / "empty.json").write_bytes(b"")
    assert "files[1].size: 0 is not above 0" in problem_of(lambda: stamp("canary", own))
    shutil.rmtree(own.parent / "canary" / "weights")
    assert "there is no folder" in problem_of(lambda: stamp("canary", own))
    (own.parent / "canary" / "weights").mkdir()
    assert "holds no file" in problem_of(lambda: stamp("canary", own))
    assert path.read_text() == text
    assert sorted(file.name for file in path.parent.iterdir() if file.name.startswith(".")) == []


def test_the_fingerprint_changes_with_any_file() -> None:
    model = entry("model", "llava-1.5-7b-gguf")
    seen = {files_fingerprint(model)}
    model["files"].reverse()
    assert files_fingerprint(model) in seen, "the order is no part of it"
    for key, value in (("sha256", SHA), ("size", 5), ("path", "b.gguf")):
        other = copy.deepcopy(model)
        other["files"][0][key] = value
        seen.add(files_fingerprint(other))
    assert len(seen) == 4


# --- releases and their lock files ------------------------------------------------------------------------


def pins_of(release: Entry) -> dict[str, set[str]]:
    """Versions by name in the release's lock files, a local part ("+cpu") left out."""
    found: dict[str, set[str]] = {}
    for path in release["lock_files"]:
        for name, version in re.findall(
            r"^([a-z0-9.-]+)==([^\s;+]+)", (ROOT / path).read_text(), re.MULTILINE
        ):
            found.setdefault(name, set()).add(version)
    return found


def differing(release: Entry) -> list[str]:
    """Packages whose version in the entry is not the one of the lock files."""
    pins = pins_of(release)
    return [name for name, version in release["packages"].items() if pins.get(name) != {version}]


@pytest.mark.parametrize("name", names("release"))
def test_a_releases_lock_files_hold_the_versions_that_it_names(name: str) -> None:
    release = load_release(name)
    assert differing(release) == []
    release["packages"] |= {"transformers": "1.0", "absent": "2.0"}
    assert differing(release) == ["transformers", "absent"]


def test_of_cudnn_the_release_and_its_lock_say_the_same() -> None:
    release = load_release("seed-cu124")
    assert pins_of(release)["nvidia-cudnn-cu12"] == {release["cudnn"]}
    cuda = pins_of(release)["nvidia-cuda-runtime-cu12"]
    assert {version.rpartition(".")[0] for version in cuda} == {release["cuda"]}


def test_what_the_engines_lock_leaves_out_stands_in_the_others() -> None:
    """They are installed without dependencies, so all of them together must be whole, as uv resolved them."""
    inputs = ROOT / "requirements/engine-cu124.in"
    left_out = set(re.findall(r"--no-emit-package (\S+)", inputs.read_text()))
    others = [path for path in load_release("seed-cu124")["lock_files"] if "/torch" in path]
    assert left_out == set(pins_of({"lock_files": others}))


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_shows_one_and_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show"]) == 0
    overview = capsys.readouterr().out
    assert "llama-3.2-90b-vision-bnb-4bit" in overview
    assert re.search(r"^seed-cu124 +yes +on a CPU ", overview, re.MULTILINE)
    assert main(["show", "llama-3.2-90b-vision-bnb-4bit"]) == 0
    shown = capsys.readouterr().out
    assert "It cannot be deployed yet" in shown
    assert "not       vllm" in shown
    assert main(["show", "seed-cu124"]) == 0
    assert "checked_on_cpu" in capsys.readouterr().out
    assert main(["show", "qwen2.5-vl-7b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load_model("qwen2.5-vl-7b")


def test_the_command_fails_in_one_line_and_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "canery"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "did you mean 'canary'?" in output.err
    assert main(["stamp", "qwen2.5-vl-7b"]) == 1
    assert "comes from a hub" in capsys.readouterr().err


def test_the_command_checks_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert "all right" in capsys.readouterr().out
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
