"""scripts/bench: its words and its exit codes. What it measures with real hosts is not run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.bench.__main__ import main
from sightline.bench.errors import BenchError, NotHere
from sightline.bench.provision import command
from sightline.bench.provision.measure import Wish
from sightline.bench.provision.result import Point, Result
from sightline.bench.provision.witness import Reached
from sightline.bench.samples import Samples


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> list[Wish]:
    """What would be measured; the answer is 6 times ping's time, which is too much."""
    given: list[Wish] = []

    def measure(wish: Wish) -> Result:
        given.append(wish)
        point = Point(1, 0.0, 0.0002, {"ping": Samples((1.0,)), "deploy": Samples((6.0,))}, {})
        return Result([point], {1: {"ping": Reached(2, 1), "deploy": Reached(3, 1)}}, 60.0)

    monkeypatch.setattr(command, "_measure", measure)
    return given


def test_plain_words_measure_one_and_three_hosts_near_and_far(wishes: list[Wish]) -> None:
    assert main(["provision"]) == 0
    assert wishes == [Wish((1, 3), (0.0, 0.1), 5, ("ping", "deploy", "deploy_and_prove"), False)]


def test_every_word_is_heeded(wishes: list[Wish]) -> None:
    words = "provision --hosts 2 --latency 50ms,1.5s,50ms --rounds 7 --no-proof --kept"

    assert main(words.split()) == 0
    assert wishes == [Wish((2,), (0.05, 1.5), 7, ("ping", "deploy"), True)]


def test_a_missed_budget_is_told_and_only_with_check_an_exit_code(
    wishes: list[Wish], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["provision"]) == 0
    assert "budget MISSED: wall time as a multiple of ping's: 6, at most 5" in capsys.readouterr().out
    assert main(["provision", "--check"]) == 1


def test_json_is_one_object_with_machine_and_budgets(
    wishes: list[Wish], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["provision", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert (told["schema"], told["bench"], told["rounds"], told["connections_kept"]) == (
        1,
        "provision",
        5,
        False,
    )
    assert told["machine"]["cores"] >= 1
    assert [budget["kept"] for budget in told["budgets"]] == [True, False]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "required: WHAT"),
        ("provisions", "invalid choice"),
        ("provision --hosts 0", "'0' is no number of hosts from 1 to 9"),
        ("provision --hosts 1,,3", "'' is no number of hosts"),
        ("provision --latency 100", "'100' is no time from 0ms to 2s, such as 100ms"),
        ("provision --latency 3s", "'3s' is no time"),
        ("provision --rounds none", "'none' is no number of rounds from 1 to 100"),
    ],
)
def test_wrong_words_are_named(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (BenchError("the canary could not be deployed"), 2, "bench: the canary could not be deployed\n"),
        (NotHere("needs root"), 3, "not run: needs root\n"),
        (KeyboardInterrupt(), 130, "bench: stopped\n"),
    ],
)
def test_what_ends_it_without_a_figure_is_said_in_one_line(
    problem: BaseException, code: int, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def measure(wish: Wish) -> Result:
        raise problem

    monkeypatch.setattr(command, "_measure", measure)

    assert main(["provision"]) == code
    streams = capsys.readouterr()
    assert streams.out + streams.err == said


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        command.alone(tmp_path),
        pytest.raises(BenchError, match="another scripts/bench runs"),
        command.alone(tmp_path),
    ):
        pass
