"""Runs that are cut off in the middle, on real hosts: the next one goes on to the end."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
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
    """A playbook whose lines come as they are written; it ends with all that it started."""
    environment = plain_environment() | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=deployer.clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            # Ansible's workers have process groups of their own, and would outlive it.
            workers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
        process.wait()


def begun(run: subprocess.Popen[str]) -> list[str]:
    """The lines of a run so far, collected beside; the last is what it was at."""
    lines: list[str] = []

    def read() -> None:
        assert run.stdout is not None
        lines.extend(run.stdout)

    threading.Thread(target=read, daemon=True).start()
    return lines


def test_a_run_that_is_killed_at_any_point_is_finished_by_the_next(
    fresh_host: Callable[..., Host], deployer: Deployer
) -> None:
    host = fresh_host("debian12")
    settings = json.dumps({"sightline_user": "sightline"})
    command = deployer.command([host], "site.yml", "-e", settings)
    seed = random.SystemRandom().randrange(2**32)
    chance, points = random.Random(seed), []
    for number in range(POINTS):
        # Each may last longer than the one before, as it begins with more: the last ones reach the proof.
        with running(command, deployer) as run:
            lines = begun(run)
            time.sleep(chance.uniform(1, 8 + 3 * number))
            points.append(lines[-1].strip() if lines else "its start")
            if run.poll():
                # What the run before began may still install packages there; the plan refuses, and waits not.
                assert "holds the lock of apt" in "".join(lines), "".join(lines)
        if number in POWER_CUTS:
            host.run("systemctl reboot --force --force")
            time.sleep(1)
            host.wait()
    print(f"seed {seed}; cut off at:", *points, sep="\n  ")

    last = deployer.play(host, "site.yml", "-e", settings)
    assert last.returncode == 0
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
        assert "will not fit" in refused.stdout

    ended = deployer.play(host, "site.yml", *words)
    assert ended.returncode == 0
    assert outcome(deployer, host) == "proven"
