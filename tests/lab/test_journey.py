"""site.yml on every kind of host at once: checked, deployed, proven, unchanged, started anew, taken down.

Each test builds on those before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.deploying import Deployer, copy_in, recap
from tests.lab.host import Host, Lab
from tests.unit.relocatable_python import pack, python_to_pack

ROOTS = {"rented": "/root/autodl-tmp/sightline"}
PYTHON = "/opt/python/bin/python3.11"


@dataclass(frozen=True)
class Fleet:
    """Hosts of every kind, and what deploys to them."""

    hosts: dict[str, Host]
    deployer: Deployer

    def root(self, name: str) -> str:
        return ROOTS.get(name, "/opt/sightline")

    def play(self, playbook: str, *words: str, only: str = "") -> str:
        """Run a playbook on all hosts, or on one; it has to succeed. Returns its output."""
        hosts = [host for name, host in self.hosts.items() if only in ("", name)]
        ended = self.deployer.play(hosts, playbook, *words)
        assert ended.returncode == 0
        return ended.stdout

    def changes(self, output: str, *names: str) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {name: recap(output, self.hosts[name])["changed"] for name in names or self.hosts}

    def report(self, name: str) -> dict[str, object]:
        """The verdict's part of the last report."""
        latest = self.deployer.clone / f".sightline/reports/{self.hosts[name].name}/latest/report.json"
        return dict(json.loads(latest.read_text())["verdict"])

    def answers(self, name: str, seconds: float) -> bool:
        """Whether the server says that its model has answered, asked on the host itself."""
        ask = "python3 -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:8642/ready\", timeout=5)'"
        deadline = time.monotonic() + seconds
        while self.hosts[name].run(ask).returncode != 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
        return True


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Hosts that nobody has touched; Debian 13 with a Python of its owner's beside the system's 3.13."""
    made = Fleet({}, Deployer.into(tmp_path_factory.mktemp("clone"), lab))
    settings: dict[str, dict[str, object]] = {}
    # The CPU build of the release's torch has to exist for the host's Python where packages come from.
    source = python_to_pack("3.11")
    for kind in ("debian12", "rented", "noroot", *(["debian13"] if source else [])):
        host = lab.up(f"journey-{kind}", kind)
        made.hosts[kind] = host
        # The container's recorded card would take the release with CUDA, on which nothing can compute here.
        settings[host.name] = {"sightline_root": made.root(kind), "sightline_release": "cpu"}
        if host.kind.boot:
            settings[host.name]["sightline_user"] = "sightline"
    if source:
        archive = tmp_path_factory.mktemp("python") / "python.tar.gz"
        pack(source, archive)
        copy_in(made.hosts["debian13"], archive, "/srv/python.tar.gz")
        made.hosts["debian13"].says("tar xf /srv/python.tar.gz -C /opt && rm /srv/python.tar.gz")
        settings[made.hosts["debian13"].name]["sightline_pythons"] = [PYTHON]
    made.deployer.set_for(settings)
    yield made
    lab.down(*(host.name for host in made.hosts.values()))


def driver_files(host: Host) -> str:
    """Hashes of what the container's host put in, and what is mounted over what."""
    return host.says(
        "sha256sum /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 /usr/lib/x86_64-linux-gnu/libcuda.so.1 "
        "/usr/bin/nvidia-smi /proc/driver/nvidia/version; grep -c nvidia /proc/self/mounts"
    )


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> str:
    return driver_files(fleet.hosts["rented"])


def test_a_check_before_anything_changes_nothing(fleet: Fleet, before: str) -> None:
    told = fleet.changes(fleet.play("site.yml", "--check"))
    assert all(count > 0 for count in told.values()), "it tells what it would do"
    for name, host in fleet.hosts.items():
        assert host.run(f"test -e {fleet.root(name)}").returncode == 1
        assert host.run("id sightline").returncode == 1


def test_every_kind_of_host_ends_proven(fleet: Fleet, before: str) -> None:
    fleet.play("site.yml")
    for name in fleet.hosts:
        assert fleet.report(name)["outcome"] == "proven"


def test_a_driver_that_was_put_in_is_as_before(fleet: Fleet, before: str) -> None:
    assert driver_files(fleet.hosts["rented"]) == before


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    again = fleet.play("site.yml", "--tags", "host,environment,model,serve")
    assert fleet.changes(again) == dict.fromkeys(fleet.hosts, 0)


def test_a_check_afterwards_changes_nothing(fleet: Fleet) -> None:
    assert fleet.changes(fleet.play("site.yml", "--check")) == dict.fromkeys(fleet.hosts, 0)


def test_after_a_reboot_the_server_answers_by_itself(fleet: Fleet) -> None:
    host = fleet.hosts["debian12"]
    host.run("systemctl reboot")
    time.sleep(1)
    host.wait()
    assert fleet.answers("debian12", 90)


def test_a_container_whose_image_starts_nothing_is_started_by_the_first_login(fleet: Fleet) -> None:
    host = fleet.hosts["rented"]
    host.restart()
    assert fleet.answers("rented", 90)
    assert fleet.changes(fleet.play("site.yml", "--tags", "serve", only="rented"), "rented") == {"rented": 0}


def test_a_container_whose_image_runs_a_persons_script_is_started_by_that(fleet: Fleet) -> None:
    host = fleet.hosts["rented"]
    host.says(
        "printf '#!/bin/bash\\necho mine > /root/ran\\n' > /root/onstart.sh && chmod +x /root/onstart.sh"
    )
    fleet.play("site.yml", "--tags", "serve", only="rented")
    assert host.run("test -e /root/.ssh/rc").returncode == 1, "one way is enough"
    host.restart()
    assert host.says("cat /root/ran") == "mine"
    assert fleet.answers("rented", 90)


def test_down_leaves_no_trace(fleet: Fleet) -> None:
    fleet.play("playbooks/down.yml")
    for name, host in fleet.hosts.items():
        assert host.run(f"test -e {fleet.root(name)}").returncode == 1
        assert "sightline_serve" not in host.says("ps -eo args")
    assert fleet.hosts["rented"].says("cat /root/onstart.sh") == "#!/bin/bash\necho mine > /root/ran"
