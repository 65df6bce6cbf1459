"""The estimator against the memory that sightline-serve really takes on a CPU, with two models.

The kernel's own high-water mark is read (VmHWM), set back after loading. What Python, torch and the server
take by themselves is taken away by measuring a model that is nearly nothing with the same question.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from sightline.catalogue import load_model, load_release
from sightline.fit import ENGINES, Estimate, Workload, estimate
from tests.prove.canary_server import CHECKOUT, PYTHON, WEIGHTS, Canary, running_canary

MIB = 2**20
TRANSFORMERS = next(engine for engine in ENGINES if engine.loader == "transformers")
LARGE: dict[str, dict[str, int]] = {
    "text": {
        "vocab_size": 260,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
    },
    "vision": {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "image_size": 224,
        "patch_size": 14,
    },
}
NEXT_TO_NOTHING = {
    "text": LARGE["text"]
    | {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    | {"num_attention_heads": 2, "num_key_value_heads": 2},
    "vision": LARGE["vision"]
    | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
}


@dataclass(frozen=True)
class Serving:
    """A server, its process, and the catalogue's view of its model."""

    at: Canary
    process: psutil.Process
    entry: dict[str, Any]

    def ask(self, letters: int) -> tuple[int, int]:
        """Ask about a picture with so many letters of text: the most memory in bytes, and tokens in all."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        content = [
            {"type": "image_url", "image_url": {"url": _picture()}},
            {"type": "text", "text": "x" * letters},
        ]
        body = {"model": "canary", "max_tokens": 8, "messages": [{"role": "user", "content": content}]}
        headers = {"Authorization": f"Bearer {self.at.key}"}
        answer = httpx.post(
            f"{self.at.base_url}/chat/completions", json=body, headers=headers, timeout=300, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024, int(answer.json()["usage"]["total_tokens"])

    def estimate(self, tokens: int) -> Estimate:
        return estimate(self.entry, TRANSFORMERS, Workload(context=tokens), "cpu")


def _picture() -> str:
    png = BytesIO()
    Image.new("RGB", (224, 224), "red").save(png, "PNG")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def _entry(sizes: dict[str, dict[str, int]], folder: Path) -> dict[str, Any]:
    """The entry that the catalogue would have for a random model."""
    text, vision = sizes["text"], sizes["vision"]
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2
    return {
        "name": folder.name,
        "files": [
            {"path": file.name, "size": file.stat().st_size, "role": "weights"}
            for file in folder.glob("*.safetensors")
        ],
        "parameters": {"total": None},
        "quantisation": {"method": "none", "bits_per_weight": 16, "compute_dtype": "bfloat16"},
        "architecture": {
            "family": "llava",
            "text": {
                "layers": text["num_hidden_layers"],
                "cross_attention_layers": 0,
                "hidden_size": text["hidden_size"],
                "intermediate_size": text["intermediate_size"],
                "attention_heads": text["num_attention_heads"],
                "kv_heads": text["num_key_value_heads"],
                "head_dim": text["hidden_size"] // text["num_attention_heads"],
                "vocabulary": text["vocab_size"],
                "max_context": text["max_position_embeddings"],
            },
            "vision": {
                "layers": vision["num_hidden_layers"],
                "hidden_size": vision["hidden_size"],
                "intermediate_size": vision["intermediate_size"],
                "attention_heads": vision["num_attention_heads"],
                "patch_size": vision["patch_size"],
                "image_size": vision["image_size"],
            },
            "picture_tokens": {"rule": "fixed", "tokens": tokens},
        },
    }


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Serving]]:
    """The large and the small random model, each served by a process of its own."""
    with ExitStack() as running:
        found = {}
        for name, sizes in {"large": LARGE, "small": NEXT_TO_NOTHING}.items():
            folder = tmp_path_factory.mktemp(name)
            command = [PYTHON, str(CHECKOUT / "tests/prove/random_llava.py"), str(folder), json.dumps(sizes)]
            subprocess.run(command, check=True, capture_output=True)
            found[name] = _start(running, tmp_path_factory.mktemp("server"), folder, _entry(sizes, folder))
        yield found


def _start(running: ExitStack, place: Path, weights: Path, entry: dict[str, Any]) -> Serving:
    before = {child.pid for child in psutil.Process().children()}
    at = running.enter_context(running_canary(place, weights=weights))
    (process,) = [child for child in psutil.Process().children() if child.pid not in before]
    return Serving(at, process, entry)


@pytest.mark.slow
@pytest.mark.parametrize("letters", [900, 3500])
def test_a_random_model_takes_what_is_estimated(servers: dict[str, Serving], letters: int) -> None:
    taken, tokens = servers["large"].ask(letters)
    nothing, same = servers["small"].ask(letters)
    assert tokens == same > letters + 256
    large, small = servers["large"].estimate(tokens), servers["small"].estimate(tokens)
    measured = taken - nothing
    told = f"{tokens} tokens: measured {measured / MIB:.0f} MiB, certain {large.certain / MIB:.0f}, "
    told += f"estimated {(large.total - small.total) / MIB:.0f}"
    print(told)
    assert large.certain - small.certain <= measured, told
    assert 0.8 * measured <= large.total - small.total <= 1.3 * measured, told


def test_the_weights_are_widened() -> None:
    """107 MiB in bfloat16 are 214 MiB in float32: without that the test above fails."""
    entry = _entry(LARGE, Path("nowhere")) | {
        "files": [{"path": "m.safetensors", "size": 107 * MIB, "role": "weights"}]
    }
    assert estimate(entry, TRANSFORMERS, Workload(context=1024), "cpu").terms[0].bytes == 214 * MIB


def test_the_canary_takes_what_the_release_and_the_estimate_say(tmp_path: Path) -> None:
    entry, release = load_model("canary"), load_release("cpu")
    with ExitStack() as running:
        serving = _start(running, tmp_path, WEIGHTS, entry)
        taken, tokens = serving.ask(400)
    process = release["memory"]["process_bytes"]
    estimated = process + serving.estimate(tokens).total
    own = f"{process / MIB:.0f} of the server"
    told = f"measured {taken / MIB:.0f} MiB, estimated {estimated / MIB:.0f} with {own}"
    print(told)
    assert taken <= estimated <= 1.5 * taken, told
