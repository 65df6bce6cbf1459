"""What the GPUs hold after the questions: read on the host, held against the estimate, told in the report.

nvidia-smi is the stand-in of tests/stand_ins, which shows a recording; no GPU is here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sightline.deployment import Connection
from sightline.prove import on_host
from sightline.prove.gpu_memory import GpuMemory, gpu_memory
from sightline.prove.report_html import as_page
from sightline.prove.report_json import Report, as_data
from sightline.prove.verdict import Verdict
from tests.prove.test_deployment import changed, written

TESTS = Path(__file__).resolve().parents[1]
MIB = 2**20


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nvidia-smi shows an H100 with 61,000 MiB in use. Returns the recording."""
    text = (TESTS / "recordings/nvidia-smi/h100-80gb.xml").read_text()
    recording = tmp_path / "in-use.xml"
    recording.write_text(text.replace("<used>1 MiB</used>", "<used>61000 MiB</used>", 1))
    programs = tmp_path / "bin"
    programs.mkdir()
    os.symlink(TESTS / "stand_ins/nvidia-smi", programs / "nvidia-smi")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_RECORDING", str(recording))
    return recording


def record(folder: Path, model: str = "llama-3.2-90b-vision-bnb-4bit", device: str = "cuda") -> Path:
    deployment = changed("connection", {"type": "local"}) | {"model": model, "device": device}
    return written(folder, deployment)


def test_in_use_beside_the_estimate(tmp_path: Path, card: Path) -> None:
    found = gpu_memory(record(tmp_path))
    assert found
    assert (found.used_bytes, found.total_bytes) == (61000 * MIB, 81559 * MIB)
    # 48.94 GB of weights; 4 x 2048 tokens of 320 KiB; 4 x 2 pictures of 6404 states of 80 KiB
    certain = 48_940_315_234 + 4 * 2048 * 320 * 1024 + 8 * 6404 * 80 * 1024
    assert found.certain_bytes == certain
    assert found.estimated_bytes
    assert found.estimated_bytes > certain


def test_a_model_outside_the_catalogue_has_no_estimate(tmp_path: Path, card: Path) -> None:
    found = gpu_memory(record(tmp_path, model="somebody's own"))
    assert found
    assert (found.used_bytes, found.estimated_bytes) == (61000 * MIB, None)


@pytest.mark.parametrize(
    "wrong", ["cpu", "no record", "no such file", "nvidia-smi fails", "no figures", "no XML"]
)
def test_nothing_is_said_where_nothing_is_known(
    tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    place: Path | None = record(tmp_path, device="cpu" if wrong == "cpu" else "cuda")
    if wrong == "no record":
        place = None
    elif wrong == "no such file":
        place = tmp_path / "gone.json"
    elif wrong == "nvidia-smi fails":
        monkeypatch.setenv("STAND_IN_EXIT", "9")
    elif wrong == "no figures":
        card.write_text(card.read_text().replace("61000 MiB", "N/A"))
    elif wrong == "no XML":
        card.write_text("nothing")
    assert gpu_memory(place) is None


def test_over_ssh_the_same_question_is_asked() -> None:
    connection = Connection("ssh", "10.0.0.7", 2222, "root", "/keys/one", ssh_args="-J jump")
    words = on_host.command(connection, "nvidia-smi -q -x")
    assert words[0] == "ssh"
    assert words[-3:-1] == ["--", "10.0.0.7"]
    assert {"-J", "jump", "-p", "2222", "-i", "/keys/one", "-l", "root"} <= set(words)
    assert "nvidia-smi -q -x" in words[-1]


def test_the_report_tells_it() -> None:
    found = GpuMemory(61000 * MIB, 81559 * MIB, 64_000_000_000, 53_000_000_000)
    target: dict[str, Any] = {"host": "gpu1", "base_url": "http://x/v1", "model": "m", "engine": None}
    report = Report(
        target=target | {"release": None},
        started_at="2026-11-21T00:00:00Z",
        seconds=1.0,
        verdict=Verdict("could not tell", "A test.", ()),
        settings=None,
        sighting=None,
        gpu_memory=found,
    )
    told = json.loads(json.dumps(as_data(report)))["gpu_memory"]
    assert told["used_bytes"] == 61000 * MIB
    assert "64.0 GB in use after the questions, 64.0 GB estimated" in as_page(report)
