"""What follows from a measurement: ratios, budgets, round trips; and what is not taken for a measurement."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from sightline.bench.errors import BenchError
from sightline.bench.provision import table
from sightline.bench.provision.hosts import Hosts
from sightline.bench.provision.measure import Bench, read_phases
from sightline.bench.provision.result import Point, Result, What
from sightline.bench.provision.witness import Reached
from sightline.bench.provision.workspace import Workspace, copy
from sightline.bench.running import Ended
from sightline.bench.samples import Samples, samples


def point(hosts: int, latency: float, ping: float, deploy: float) -> Point:
    """A point whose three rounds vary by a tenth up and down."""

    def around(seconds: float) -> Samples:
        return samples([seconds * 1.1, seconds, seconds * 0.9])

    taken: dict[What, Samples] = {"ping": around(ping), "deploy": around(deploy)}
    return Point(hosts, latency, latency + 0.0002, taken, {"Probe": 0.5})


def result(*points: Point, sessions: int = 3) -> Result:
    reached: dict[What, Reached] = {"ping": Reached(2, 1), "deploy": Reached(sessions, 1)}
    return Result(points, {1: reached}, cold_seconds=60.0)


def test_a_run_of_five_pings_and_twelve_tasks_is_within_its_budgets() -> None:
    tasks, pings = result(point(1, 0.0, 1.0, 5.0), sessions=12).budgets

    assert (tasks.worst, tasks.kept) == (12, True)
    assert (pings.worst, pings.kept) == (5.0, True)


def test_thirteen_tasks_are_too_many() -> None:
    assert not result(point(1, 0.0, 1.0, 2.0), sessions=13).budgets[0].kept


def test_the_worst_point_counts() -> None:
    _, pings = result(point(1, 0.0, 1.0, 2.0), point(3, 0.0, 1.0, 5.5), point(1, 0.1, 2.0, 3.0)).budgets

    assert pings.worst == pytest.approx(5.5)
    assert not pings.kept


def test_more_hosts_are_held_against_the_fewest_at_the_same_latency() -> None:
    told = result(
        point(1, 0.0, 1.0, 2.0), point(3, 0.0, 2.0, 3.0), point(1, 0.1, 2.0, 10.0), point(3, 0.1, 3.0, 11.0)
    ).against_fewest("deploy")

    assert [(more.hosts, few.hosts, more.latency) for more, few, _ in told] == [(3, 1, 0.0), (3, 1, 0.1)]
    assert [ratio.median for *_, ratio in told] == pytest.approx([1.5, 1.1])


def test_round_trips_are_what_the_latency_adds() -> None:
    # 3.3 s are 1.3 s more than 2, which are 13 round trips of 100 ms; the other rounds are 10% off.
    told = result(point(1, 0.0, 1.0, 2.0), point(1, 0.1, 2.0, 3.3)).round_trips("deploy")

    assert [at.latency for at, _ in told] == [0.1]
    assert told[0][1].values == pytest.approx((14.3, 13.0, 11.7))


def test_one_latency_tells_no_round_trips() -> None:
    assert result(point(1, 0.1, 1.0, 2.0), point(3, 0.1, 1.0, 2.0)).round_trips("ping") == []


def test_the_table_tells_ratios_counts_and_a_missed_budget() -> None:
    told = "\n".join(table.lines(result(point(1, 0.0, 1.0, 6.0), sessions=13), rounds=3, kept=False))

    assert "6.00 s (5.40-6.60)" in told
    assert "6.0 (6.0-6.0)" in told
    assert "site.yml less the proof 13 session(s) in 1 connection(s)" in told
    assert told.count("budget MISSED") == 2
    assert "each command makes its own connection" in told


def test_the_json_has_the_same() -> None:
    told = json.loads(json.dumps(result(point(1, 0.0, 1.0, 6.0), point(3, 0.0, 1.0, 9.0)).to_dict()))

    assert told["points"][0]["pings"]["deploy"]["median"] == 6.0
    assert told["reached"]["1"]["deploy"] == {"sessions": 3, "connections": 1}
    assert {entry["what"]: entry["ratio"]["median"] for entry in told["more_hosts"]} == {
        "ping": 1.0,
        "deploy": 1.5,
    }
    assert [budget["kept"] for budget in told["budgets"]] == [True, False]


class RestartingHosts(Hosts):
    """Stands for hosts whose sshd refuses the first two times, as while it starts itself anew."""

    refusals = 2

    def ssh(self, name: str, command: str) -> str:
        type(self).refusals -= 1
        if type(self).refusals >= 0:
            raise BenchError(f"`{command}` failed on {name}: Connection refused")
        return ""


def test_an_sshd_that_starts_anew_is_waited_for(tmp_path: Path) -> None:
    RestartingHosts.refusals = 2
    RestartingHosts(tmp_path, ("a",)).wait("a", patience=10)

    assert RestartingHosts.refusals == -1


def test_an_sshd_that_never_comes_back_is_told(tmp_path: Path) -> None:
    RestartingHosts.refusals = 1000
    with pytest.raises(BenchError, match="failed on a: Connection refused"):
        RestartingHosts(tmp_path, ("a",)).wait("a", patience=0.2)


def figures(folder: Path, **hosts: int) -> Path:
    """The file that plugins/callback/phases.py writes."""
    file = folder / "phases.json"
    counts = {name: {"changed": changed, "failures": 0, "unreachable": 0} for name, changed in hosts.items()}
    file.write_text(json.dumps({"phases": [{"name": "Probe", "seconds": 0.7}], "hosts": counts}))
    return file


def test_the_plays_of_a_no_change_run_are_read(tmp_path: Path) -> None:
    assert read_phases(figures(tmp_path, a=0, b=0), 2) == [("Probe", 0.7)]


def test_a_run_that_changed_something_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no no-change run.*\(a 0, b 2\)"):
        read_phases(figures(tmp_path, a=0, b=2), 2)


def test_a_run_on_fewer_hosts_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"played on 1 host\(s\) instead of 2"):
        read_phases(figures(tmp_path, a=0), 2)


def test_without_the_callbacks_file_there_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        read_phases(tmp_path / "phases.json", 1)


@dataclass
class StandInWorkspace:
    """Stands for the copy of the checkout: keeps what it is told to run, and answers what it was given."""

    folder: Path
    answer: Ended
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *words: str, more: dict[str, str] | None = None) -> Ended:
        self.asked.append(words)
        return self.answer

    def hang_up(self) -> None:
        self.asked.append(("hang up",))


def bench(tmp_path: Path, answer: Ended) -> tuple[Bench, StandInWorkspace]:
    (tmp_path / ".sightline").mkdir()
    standing_in = StandInWorkspace(tmp_path, answer)
    hosts = Hosts(tmp_path / "lab", ("bench1", "bench2", "bench3"))
    return Bench(hosts, cast(Workspace, cast(Any, standing_in)), lambda line: None), standing_in


PONG = Ended(0, "bench1 | SUCCESS => \n    ping: pong\nbench2 | SUCCESS => \n    ping: pong\n", 1.5)


def test_a_command_is_given_the_first_hosts_and_a_fresh_connection(tmp_path: Path) -> None:
    made, workspace = bench(tmp_path, PONG)

    assert made._timed("ping", 2, kept=False).seconds == 1.5
    reach = ("-i", f"{tmp_path}/lab/inventory.yml", "--limit", "bench1,bench2")
    assert workspace.asked == [("hang up",), ("ansible", "sightline", "-m", "ping", *reach)]


def test_with_kept_connections_a_ping_opens_them_first(tmp_path: Path) -> None:
    made, workspace = bench(tmp_path, PONG)
    made._timed("ping", 2, kept=True)

    assert [words[0] for words in workspace.asked] == ["hang up", "ansible", "ansible"]


def test_a_host_that_does_not_answer_ping_is_no_measurement(tmp_path: Path) -> None:
    made, _ = bench(tmp_path, PONG)

    with pytest.raises(BenchError, match=r"not all of 3 host\(s\) answered ping"):
        made._timed("ping", 3, kept=False)


def test_a_run_that_fails_is_no_measurement_and_its_last_words_are_shown(tmp_path: Path) -> None:
    made, _ = bench(tmp_path, Ended(2, "...\nbench1 | the disk is full\n", 0.1))

    with pytest.raises(BenchError, match=r"less the proof failed:\s+\.\.\.\s+bench1 \| the disk is full"):
        made._timed("deploy", 1, kept=False)


def test_the_copy_has_what_a_clone_has_and_nothing_of_the_checkouts_own(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in (
        "site.yml",
        "sightline/plan.py",
        "sightline/__pycache__/plan.pyc",
        ".sightline/keys/a",
        ".git/HEAD",
    ):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(name)
    (checkout / ".venv").mkdir()

    copy(checkout, tmp_path / "copy")

    found = sorted(path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*"))
    assert found == [".venv", "sightline", "sightline/plan.py", "site.yml"]
    assert (tmp_path / "copy/.venv").readlink() == checkout / ".venv"
