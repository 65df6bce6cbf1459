"""`scripts/catalogue add`: entries from what a hub says, held against entries that were written by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.catalogue import CatalogueError, catalogue_problems, load_model, missing_facts
from sightline.catalogue import __main__ as command
from sightline.catalogue.adding import check_free, make_entry, usual_name, write_entry
from sightline.catalogue.config import UnknownArchitecture, read_config, read_quantisation
from sightline.catalogue.hub import Terms, look_up
from tests.stand_ins.hub import Hub

CHECKOUT = Path(__file__).resolve().parents[2]
WEIGHTS = b"\7" * 300_000
NF4 = {
    "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
    "bnb_4bit_compute_dtype": "bfloat16", "quant_method": "bitsandbytes",
}  # fmt: skip
# The published config.json of Meta's 90B, the numbers that its entry in the catalogue was written from.
MLLAMA_90B: dict[str, Any] = {
    "model_type": "mllama",
    "quantization_config": NF4,
    "text_config": {
        "num_hidden_layers": 100, "cross_attention_layers": list(range(3, 100, 5)), "hidden_size": 8192,
        "intermediate_size": 28672, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
        "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
    },
    "vision_config": {
        "num_hidden_layers": 32, "num_global_layers": 8, "hidden_size": 1280, "intermediate_size": 5120,
        "attention_heads": 16, "image_size": 560, "patch_size": 14, "vision_output_dim": 7680,
        "max_num_tiles": 4,
    },
}  # fmt: skip
QWEN25_7B: dict[str, Any] = {
    "model_type": "qwen2_5_vl", "torch_dtype": "bfloat16", "hidden_size": 3584, "intermediate_size": 18944,
    "max_position_embeddings": 128000, "num_attention_heads": 28, "num_hidden_layers": 28,
    "num_key_value_heads": 4, "vocab_size": 152064,
    "vision_config": {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
        "patch_size": 14, "spatial_merge_size": 2,
    },
}  # fmt: skip


def repository(config: dict[str, Any], **more: bytes) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(config).encode(),
        "preprocessor_config.json": b'{"min_pixels": 3136, "max_pixels": 12845056}',
        "generation_config.json": b'{"temperature": 0.1, "top_k": 1, "top_p": 0.001}',
        "chat_template.json": b"{}",
        "model.safetensors": WEIGHTS,
        ".gitattributes": b"x",
        "README.md": b"x",
        "empty": b"",
        **more,
    }


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(repository(QWEN25_7B)) as running:
        running.info = {
            "gated": "manual", "cardData": {"license": "apache-2.0"}, "safetensors": {"total": 8_292_166_656},
        }  # fmt: skip
        yield running


def added(hub: Hub, like: str | None = None, **how: Any) -> dict[str, Any]:
    terms = Terms(token=how.pop("token", ""))
    found = look_up(
        "owner/model", "main", hub.url, terms, how.get("only", []), how.get("without", []), lambda line: None
    )
    return make_entry(found, "model", load_model(like) if like else None)


def test_commit_files_hashes_licence_and_gate_are_the_hubs(hub: Hub) -> None:
    entry = added(hub)
    assert entry["source"] == {"kind": "hub", "repo": "owner/model", "commit": "c" * 40}
    assert entry["licence"] == {"id": "apache-2.0", "gated": True}
    assert {(file["path"], file["size"], file["sha256"], file["role"]) for file in entry["files"]} == {
        (path, len(data), hashlib.sha256(data).hexdigest(), "weights" if data is WEIGHTS else "support")
        for path, data in hub.files.items()
        if path not in (".gitattributes", "README.md", "empty")
    }
    assert hub.asked_for("model.safetensors") == [], "its hash is the name that the hub keeps it under"
    assert entry["parameters"]["total"] == 8_292_166_656
    assert entry["prompts"]["sampling"] == {"temperature": 0.1, "top_k": 1, "top_p": 0.001}
    assert missing_facts(entry) == []


@pytest.mark.parametrize(
    ("config", "name"), [(MLLAMA_90B, "llama-3.2-90b-vision-bnb-4bit"), (QWEN25_7B, "qwen2.5-vl-7b")]
)
def test_the_architecture_is_that_of_the_entry_written_by_hand(config: dict[str, Any], name: str) -> None:
    by_hand = load_model(name)
    read = read_config(config, {"min_pixels": 3136, "max_pixels": 12845056})
    for part in ("text", "vision"):
        assert read[part] == by_hand["architecture"][part]
    told = {key: value for key, value in read["picture_tokens"].items() if key != "says"}
    assert told == {k: v for k, v in by_hand["architecture"]["picture_tokens"].items() if k != "says"}
    assert read_quantisation(config) == by_hand["quantisation"]


def test_the_canarys_architecture_is_read_off_its_own_config() -> None:
    config = json.loads((CHECKOUT / "canary/weights/config.json").read_text())
    by_hand, read = load_model("canary")["architecture"], read_config(config, {})
    assert (read["vision"], read["picture_tokens"]["tokens"]) == (by_hand["vision"], 64)
    assert {k: v for k, v in read["text"].items() if v is not None}.items() <= by_hand["text"].items()


def test_what_the_hub_does_not_say_is_null_with_a_mark(hub: Hub) -> None:
    hub.info = {}
    del QWEN25_7B["vision_config"]["patch_size"]
    try:
        hub.files = repository(QWEN25_7B)
    finally:
        QWEN25_7B["vision_config"]["patch_size"] = 14
    entry = added(hub)
    assert entry["licence"] == {"id": None, "gated": None}
    assert entry["provenance"]["licence"]["unknown"] == ["gated", "id"]
    assert "vision.patch_size" in entry["provenance"]["architecture"]["unknown"]
    assert entry["provenance"]["memory"]["status"] == "unknown"


def test_an_unknown_architecture_is_refused_unless_an_entry_is_like_it(hub: Hub) -> None:
    hub.files = repository({"model_type": "of-tomorrow"})
    with pytest.raises(CatalogueError, match=r"'of-tomorrow' is of no family.*--like NAME"):
        added(hub)
    entry, canary = added(hub, like="canary"), load_model("canary")
    assert entry["architecture"] == canary["architecture"]
    assert entry["engines"] == canary["engines"]
    assert entry["provenance"]["architecture"]["source"] == "canary, to which it was said to be alike"
    with pytest.raises(UnknownArchitecture, match="quantised by awq"):
        read_quantisation({"quantization_config": {"quant_method": "awq"}})


def test_only_and_without_choose_files(hub: Hub) -> None:
    hub.files |= {"a-Q4_K_M.gguf": b"4" * 200_000, "a-Q8_0.gguf": b"8" * 200_000}
    chosen = added(hub, like="canary", only=["*.gguf"], without=["*Q8*"])
    assert [file["path"] for file in chosen["files"]] == ["a-Q4_K_M.gguf"]
    with pytest.raises(CatalogueError, match="no file of owner/model is left"):
        added(hub, only=["*.onnx"])


@pytest.mark.parametrize("fault", ["wrong", "unlisted", "refused", "nobody", "no repo"])
def test_a_hub_that_cannot_be_believed_is_told(hub: Hub, fault: str) -> None:
    repo, url = "owner/model", hub.url
    match fault:
        case "wrong":
            hub.faults.wrong = {"config.json"}
        case "unlisted":
            hub.faults.unlisted = True
        case "refused":
            hub.token = "hf_of_somebody_else"
        case "nobody":
            url = "http://127.0.0.1:9"
        case _:
            repo = "model"
    with pytest.raises(CatalogueError, match="Remedy: check the names, the network and the token"):
        look_up(repo, "main", url, Terms(), [], [], lambda line: None)


def test_the_written_entry_passes_the_catalogues_check_and_is_not_overwritten(
    hub: Hub, tmp_path: Path
) -> None:
    for folder in ("models", "releases"):
        (tmp_path / folder).mkdir()
    entry = added(hub)
    path = write_entry(entry, tmp_path)
    assert catalogue_problems(tmp_path) == []
    assert load_model("model", tmp_path) == entry
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(CatalogueError, match="is there already"):
        check_free("model", replace=False, root=tmp_path)
    check_free("model", replace=True, root=tmp_path)
    assert usual_name("Qwen/Qwen2.5-VL-7B_Instruct") == "qwen2.5-vl-7b-instruct"


def test_the_command_prints_an_entry_and_its_errors(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["add", f"owner/model@{'c' * 40}", "--source", hub.url, "--print"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "model"
    assert command.main(["add", "owner/model@nothing", "--source", hub.url, "--print"]) == 1
    assert "404: it is not there" in capsys.readouterr().err
