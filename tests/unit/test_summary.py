"""The last lines of scripts/up: verdict and endpoint per host, seconds per phase."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline import summary
from sightline.summary import host_lines, phase_line

RECORD: dict[str, Any] = {
    "schema": 1,
    "host": "box",
    "connection": {"type": "local"},
    "base_url": "http://127.0.0.1:8642/v1",
    "model": "canary",
    "api_key_file": "/srv/key",
    "engine": "sightline-serve",
    "release": {"name": "cpu", "id": "0123456789ab"},
    "root": "/opt/sightline",
    "init": "systemd",
    "service": {"name": "sightline-vlm", "user": "root", "bind": "127.0.0.1", "port": 8642},
    "environment": {"path": "/opt/sightline/env/cpu-1", "lock_files": []},
    "model_dir": "/opt/sightline/models/canary",
    "api_key_path": "/opt/sightline/secrets/api_key",
    "deployed_at": "2026-01-02T03:04:05+00:00",
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    record = tmp_path / ".sightline/deployments/box.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(RECORD))
    monkeypatch.setattr(summary, "CHECKOUT", tmp_path)
    return tmp_path


def put_report(checkout: Path, text: str) -> Path:
    folder = checkout / ".sightline/reports/box/2026-01-02T03-04-05Z"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(text)
    (folder.parent / "latest").symlink_to(folder.name)
    return folder.parent / "latest" / "report.html"


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [("proven", "PROVEN"), ("not proven", "NOT PROVEN"), ("could not tell", "COULD NOT TELL")],
)
def test_a_host_shows_its_verdict_endpoint_and_report(checkout: Path, outcome: str, shown: str) -> None:
    page = put_report(checkout, json.dumps({"verdict": {"outcome": outcome}}))

    lines = host_lines(checkout, "box", 3)

    assert lines[0] == f"box: {shown}"
    assert lines[1] == "  endpoint  http://127.0.0.1:8642/v1   model canary"
    assert lines[2].startswith("  page      http://127.0.0.1:8642/ ")
    assert lines[3] == "  API key   in /srv/key"
    assert lines[4].startswith("  try       curl http://127.0.0.1:8642/v1/chat/completions ")
    assert lines[5:] == [f"  report    {page}", "  changed   3 task(s)"]


def test_an_engine_without_a_page_names_none(checkout: Path) -> None:
    record = checkout / ".sightline/deployments/box.json"
    record.write_text(record.read_text().replace("sightline-serve", "llamacpp"))

    assert not [line for line in host_lines(checkout, "box", 0) if line.startswith("  page ")]


@pytest.mark.parametrize("text", ["[]", "3", '{"verdict": "proven"}', "{}"])
def test_a_report_of_another_shape_is_not_believed(checkout: Path, text: str) -> None:
    put_report(checkout, text)

    assert host_lines(checkout, "box", 0)[0].startswith("box: its last report cannot be read: ")


@pytest.mark.parametrize("text", [None, "", "{"])
def test_without_a_report_it_is_not_proven_yet(checkout: Path, text: str | None) -> None:
    if text is not None:
        put_report(checkout, text)

    lines = host_lines(checkout, "box", 0)

    assert lines[0] == "box: deployed, not proven yet (scripts/prove)"
    assert not any(line.startswith("  report") for line in lines)
    assert lines[-1] == "  changed   nothing"


def test_a_host_without_a_record_says_so(checkout: Path) -> None:
    assert host_lines(checkout, "other", 0) == ["other: nothing is deployed"]
    (checkout / ".sightline/deployments/box.json").write_text("{")
    assert host_lines(checkout, "box", 0) == ["box: nothing is deployed"]


def test_phases_are_listed_with_their_seconds() -> None:
    phases = [
        {"name": "Probe", "seconds": 1.26},
        {"name": "Plan", "seconds": 0.04},
        {"name": "Environment", "seconds": 30.0},
        {"name": "Prove"},
    ]
    assert phase_line(phases, 0.4) == "seconds: probe 1.3, environment 30.0; 31.3 in all"
    assert phase_line(phases, 12.0) == "seconds: prepare 12.0, probe 1.3, environment 30.0; 43.3 in all"


def test_the_command_sums_up_every_host(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"changed": 0, "failures": 0, "unreachable": 0}
    run = {"phases": [{"name": "Probe", "seconds": 2.0}], "hosts": {"zoo": figures, "box": figures}}
    file = checkout / "phases.json"
    file.write_text(json.dumps(run))

    summary.main([str(file), "--prepared", "5"])

    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert heads == [
        "box: deployed, not proven yet (scripts/prove)",
        "zoo: nothing is deployed",
        "seconds: prepare 5.0, probe 2.0; 7.0 in all",
    ]
