"""The plan of real hosts in minutes and money, and how it is handed over; no host is asked here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from sightline.plan.fit import host_fit
from sightline.plan.situation import Situation
from sightline.quote.cli import main
from sightline.quote.handed import VARIABLE, hand_over, read_handed
from sightline.quote.host_quote import HostQuote, Terms, quote_host, read_terms
from sightline.quote.hosts import _why
from tests.unit.test_plan import GB, Inputs, deployed, on_a_gpu

CHECKOUT = Path(__file__).resolve().parents[2]
NO_REPORT = Path("/nowhere/report.json")

UNREACHABLE = """\
PLAY [Probe] *******************************************************************
fatal: [gpu-1]: UNREACHABLE! =>
    changed: false
    msg: 'Task failed: Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1
        port 9: Connection refused'
    unreachable: true

PLAY RECAP *********************************************************************
"""


def quoted(inputs: Inputs, terms: Terms | None = None, report: Path = NO_REPORT) -> HostQuote:
    fit = host_fit(Situation(inputs.model, inputs.release, inputs.facts, inputs.settings))
    return quote_host("gpu1", inputs.plan(), fit, inputs.model, inputs.facts, terms or Terms(), report)


def seconds_of(found: HostQuote) -> dict[str, float | None]:
    return {stage.name: stage.seconds for stage in found.stages}


# --- minutes and money ------------------------------------------------------------------------------------


def test_a_bare_host_by_hand() -> None:
    """260 MB of wheels over 100 Mbit/s, 1.2 GB of environment; the canary comes with the checkout."""
    found = quoted(Inputs(), Terms(line=12.5e6, per_hour=3.0))
    seconds = seconds_of(found)
    assert seconds["download the environment"] == pytest.approx(260e6 / (0.9 * 12.5e6))
    assert seconds["build the environment"] == pytest.approx(60)
    assert "download the model" not in seconds
    assert found.seconds is not None
    assert found.price.first_answer == pytest.approx(found.seconds / 3600 * 3.0)
    text = "\n".join(found.lines())
    assert "there now: debian 12, x86_64, supervised, 2 cores" in text
    assert "cost to the first answer: 0.09" in text  # 23 + 60 + 25 s and the weights: 0.03 h


def test_nothing_to_do_takes_no_time() -> None:
    inputs = Inputs()
    deployed(inputs)
    found = quoted(inputs, Terms(line=12.5e6, per_hour=3.0))
    assert found.stages == []
    assert found.seconds is None
    assert found.price.first_answer is None


def test_without_a_line_the_time_stays_open() -> None:
    found = quoted(Inputs())
    assert found.seconds is None
    assert not any("time to the first answer" in line for line in found.lines())


def test_a_refused_host_has_no_minutes() -> None:
    inputs = Inputs()
    inputs.facts["root"]["free_bytes"] = 1
    found = quoted(inputs, Terms(line=12.5e6, per_hour=3.0))
    assert not found.plan.ok
    assert found.stages == []


def test_a_known_card_has_a_speed() -> None:
    inputs = Inputs()
    on_a_gpu(inputs)
    found = quoted(inputs, Terms(line=12.5e6, per_hour=2.0))
    assert "NVIDIA H800 with 80.0 GB" in found.there
    assert found.price.per_thousand
    assert not found.price.per_thousand.measured
    inputs.facts["gpus"][0]["name"] = "Somebody's 7"
    assert quoted(inputs, Terms(line=12.5e6)).price.per_thousand is None


def test_the_hosts_own_report_goes_first(tmp_path: Path) -> None:
    latency = {"answers": 63, "median": 0.36}
    report = tmp_path / "report.json"
    report.write_text(
        json.dumps({"started_at": "x", "target": {"model": "canary"}, "sight": {"latency_s": latency}})
    )
    many = quoted(Inputs(), Terms(per_hour=2.0), report).price.per_thousand
    assert many
    assert many.measured
    assert many.cost == pytest.approx(0.2)  # 360 s at 2.00 an hour
    report.write_text("{}")
    assert quoted(Inputs(), Terms(per_hour=2.0), report).price.per_thousand is None


@pytest.mark.parametrize(
    "said", [{"line": "fast"}, {"per_hour": "much"}, {"cpu_per_hour": -1}, {"per_hour": "inf"}]
)
def test_settings_that_are_no_terms(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="write"):
        read_terms(said)


def test_settings_as_ansible_hands_them_over() -> None:
    assert read_terms({"line": "", "per_hour": 0, "cpu_per_hour": "0"}) == Terms()
    assert read_terms({"line": "1gbit", "per_hour": "2.5"}) == Terms(125e6, 2.5)


# --- handing over -----------------------------------------------------------------------------------------


def test_hosts_of_any_name_are_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name in ("gpu1", "box/7 [eu]", "../up"):
        found = quoted(Inputs())
        hand_over(HostQuote(name, found.there, found.plan, found.stages, found.price))
    handed = read_handed(tmp_path)
    assert set(handed) == {"gpu1", "box/7 [eu]", "../up"}
    assert handed["gpu1"]["plan"]["ok"] is True


def test_nothing_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    hand_over(quoted(Inputs()))
    assert list(tmp_path.iterdir()) == []


def test_why_a_host_was_not_read() -> None:
    assert "port 9: Connection refused" in _why(UNREACHABLE, "gpu-1")
    assert "ansible -m ping" in _why(UNREACHABLE, "gpu-1")
    assert "did not say why" in _why(UNREACHABLE, "gpu-2")


@pytest.mark.parametrize("words", [("--gpu", "l4"), ("--html", "x.html"), ("--measured", "x.json")])
def test_words_about_one_card_do_not_go_with_an_inventory(
    capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    assert main(["-i", "inventory/local", *words]) == 2
    assert f"{words[0]} is about one card" in capsys.readouterr().err


# --- the settings reach the server ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, ["--threads", "2"]),
        ({"context": "8192"}, ["--max-model-len", "8192", "--threads", "2"]),
        (
            {"slots": 4, "pictures": 2, "device": "cpu"},
            ["--device", "cpu", "--max-num-seqs", "4", "--max-images", "2", "--threads", "2"],
        ),
        # llama.cpp's server has no flag for these two.
        (
            {"engine": "llamacpp", "slots": 4, "pictures": 2, "device": "cpu"},
            ["--max-num-seqs", "4", "--threads", "2"],
        ),
        # LocalAI reads them in its model file; what a person adds is for LocalAI itself.
        (
            {"engine": "localai", "context": 512, "slots": 4, "device": "cpu", "localai_web_ui": True},
            ["--web-ui", "--", "--threads", "2"],
        ),
        ({"engine": "localai", "serve_options": []}, []),
    ],
)
def test_the_server_is_held_to_what_was_planned(settings: dict[str, Any], options: list[str]) -> None:
    wiring = yaml.safe_load((CHECKOUT / "playbooks/group_vars/all/wiring.yml").read_text())
    said = {
        "engine": "sightline-serve",
        "device": "auto",
        "context": 0,
        "slots": 0,
        "pictures": 0,
        "serve_options": ["--threads", "2"],
        "localai_web_ui": False,
    }
    values = {f"sightline_{name}": value for name, value in (said | settings).items()}
    environment = NativeEnvironment()
    environment.filters["bool"] = bool  # Ansible's own, for what these cases give it
    rendered: Any = environment.from_string(wiring["sightline_all_serve_options"]).render(values)
    assert rendered == options


def test_a_larger_card_is_needed_than_the_host_has() -> None:
    inputs = Inputs()
    on_a_gpu(inputs)
    inputs.model["files"][0]["size"] = 90 * GB
    inputs.facts["root"]["free_bytes"] = 900 * GB
    found = quoted(inputs, Terms(line=12.5e6, per_hour=2.0)).to_dict()
    assert found["plan"]["ok"] is False
    assert found["plan"]["fit"]["outcome"] == "does not fit"
    assert found["plan"]["fit"]["options"]
