"""scripts/bench cold: its figures, words and exit codes. Deployments to real hosts are not run here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sightline.bench.__main__ import main
from sightline.bench.cold import command
from sightline.bench.cold.measure import FLOOR, SENT, Cold, parts_of, phases_of
from sightline.bench.errors import BenchError
from sightline.bench.samples import Samples
from sightline.layout import CHECKOUT

TOLD = "packages 100.5 110.0\nenvironment 110.0 150.25\nserve 150.5 162.5\n"


def cold(deploy: float, floor: float) -> Cold:
    return Cold(Samples((deploy,)), Samples((floor,)), [("Probe", 1.5)], [("serve", 12.0)])


def test_parts_take_what_lies_between_their_times() -> None:
    assert parts_of(TOLD) == [("packages", 9.5), ("environment", 40.25), ("serve", 12.0)]


@pytest.mark.parametrize("told", ["", TOLD.replace("environment", "other"), TOLD + TOLD])
def test_other_parts_are_no_measurement(told: str) -> None:
    with pytest.raises(BenchError, match="something else than their three parts"):
        parts_of(told)


def test_plays_are_read_or_it_is_no_measurement(tmp_path: Path) -> None:
    file = tmp_path / "phases.json"
    with pytest.raises(BenchError, match="cannot be read"):
        phases_of(file)
    file.write_text(json.dumps({"phases": [{"name": "Probe", "seconds": 1.5}], "hosts": {}}))

    assert phases_of(file) == [("Probe", 1.5)]


def test_all_that_is_sent_is_there() -> None:
    assert [name for name in SENT if not (CHECKOUT / name).exists()] == []


def test_the_bare_commands_stop_at_the_first_that_fails(tmp_path: Path) -> None:
    # apt-get fails here: it stands in for a host whose mirror is gone.
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho no mirror; exit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    ended = subprocess.run(
        ["sh", str(FLOOR)], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip

    assert ended.returncode == 1
    assert ended.stdout == "no mirror\nthe bare commands failed at: packages\n"


@pytest.mark.parametrize(("deploy", "code", "word"), [(114.0, 0, "kept"), (116.0, 1, "MISSED")])
def test_the_budget_is_fifteen_parts_in_a_hundred(
    deploy: float, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_measure", lambda times: cold(deploy, 100.0))

    assert main(["cold"]) == 0
    assert f"budget {word}: {deploy / 100:.2f} times, at most 1.15" in capsys.readouterr().out
    assert main(["cold", "--check"]) == code


def test_json_has_both_times_and_the_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_measure", lambda times: cold(130.0, 100.0))
    main(["cold", "--json", "--rounds", "1"])
    told = json.loads(capsys.readouterr().out)

    assert (told["bench"], told["rounds"], told["floors"]["median"]) == ("cold", 1, 1.3)
    assert (told["phases"], told["parts"]) == ({"Probe": 1.5}, {"serve": 12.0})
    assert told["budgets"][0]["kept"] is False
