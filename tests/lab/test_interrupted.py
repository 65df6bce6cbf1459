"""Runs that are cut off in the middle, on real hosts: the next one goes on to the end."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.ansible.clones import plain_environment
from tests.lab.deploying import Deployer, recap
from tests.lab.host import Host, Lab

pytestmark = pytest.mark.slow

POINTS = 10
POWER_CUTS = (3, 7)
"""At these of the points the host loses its power, too."""


@pytest.fixture(scope="module")
def deployer(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    return Deployer.into(tmp_path_factory.mktemp("clone"), lab)


def outcome(deployer: Deployer, host: Host) -> object:
    latest = deployer.clone / f".sightline/reports/{host.name}/latest/report.json"
    return json.loads(latest.read_text())["verdict"]["outcome"]


@contextmanager
def running(command: list[str], deployer: Deployer) -> Iterator[subprocess.Popen[str]]:
    """A playbook in a process group of its own, whose lines come as they are written."""
    environment = plain_environment() | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=deployer.clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Chance:
    """Where runs are cut off: a moment after tasks began, at most of them, and at none more than twice."""

    def __init__(self) -> None:
        self.seed = random.SystemRandom().randrange(2**32)
        self.random = random.Random(self.seed)
        self.points: list[str] = []

    def strikes(self, line: str) -> bool:
        """Whether to cut off here; waits for the moment."""
        task = re.match(r"TASK \[(.*)\]", line)
        if not task or self.points.count(task[1]) > 1 or self.random.random() < 0.1:
            return False
        self.points.append(task[1])
        time.sleep(self.random.uniform(0, 3))
        return True


def test_a_run_that_is_killed_at_any_point_is_finished_by_the_next(
    fresh_host: Callable[..., Host], deployer: Deployer
) -> None:
    host, chance = fresh_host("debian12"), Chance()
    settings = json.dumps({"sightline_user": "sightline"})
    command = deployer.command([host], "site.yml", "-e", settings)
    while True:
        with running(command, deployer) as run:
            assert run.stdout is not None
            lines: list[str] = []
            for line in run.stdout:
                lines.append(line)
                if chance.strikes(line):
                    break
            else:
                # Spared to its end: every task was come to, and most of them were cut off once.
                print("".join(lines))
                assert run.wait() == 0
                break
        if len(chance.points) in POWER_CUTS:
            host.run("systemctl reboot --force --force")
            time.sleep(1)
            host.wait()
    print(f"seed {chance.seed}; cut off at: {'; '.join(chance.points)}")
    assert len(chance.points) >= POINTS
    assert outcome(deployer, host) == "proven"
    again = deployer.play(host, "site.yml", "-e", settings, "--tags", "host,environment,model,serve")
    assert recap(again.stdout, host)["changed"] == 0
    half = "find /opt/sightline -name '*.new' -o -name '*.part' -o -name '*.sightline' | head"
    assert host.says(half) == ""


def test_a_disk_that_fills_up_in_the_middle_is_told_and_once_there_is_room_the_next_run_goes_on(
    fresh_host: Callable[..., Host], deployer: Deployer
) -> None:
    host = fresh_host("rented")
    root = "/root/autodl-tmp/sightline"
    # The recorded card would take the release with CUDA.
    words = ("-e", f"sightline_root={root} sightline_release=cpu")
    command = deployer.command([host], "site.yml", *words)
    lines, free = [], threading.Event()
    with running(command, deployer) as run:
        assert run.stdout is not None
        for line in run.stdout:
            lines.append(line)
            if "engine-cpu" in line and not free.is_set():
                free.set()
                with host.filled(root, leave="20m"):
                    lines += run.stdout
        assert free.is_set()
        code = run.wait()
    output = "".join(lines)
    print(output)
    assert code != 0
    assert "the disk is full while installing" in output
    assert "Traceback" not in output
    assert host.run(f"test -e {root}/current").returncode == 1, "nothing half-made serves"

    with host.filled(root, leave="20m"):
        refused = deployer.play(host, "site.yml", *words)
        assert refused.returncode != 0
        assert "not enough free disk" in refused.stdout

    ended = deployer.play(host, "site.yml", *words)
    assert ended.returncode == 0
    assert outcome(deployer, host) == "proven"
