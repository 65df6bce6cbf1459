"""Hosts with systemd: real ones, apart from each other, that come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import cgroups, status
from tests.lab.host import Host, Lab


@pytest.mark.parametrize(("name", "version"), [("debian12", "12"), ("debian13", "13")])
def test_systemd_runs_and_nothing_failed(name: str, version: str, request: pytest.FixtureRequest) -> None:
    host: Host = request.getfixturevalue(name)

    assert host.says("cat /proc/1/comm") == "systemd"
    assert host.says("systemctl is-system-running --wait") == "running"
    assert host.says(". /etc/os-release; echo $ID $VERSION_ID") == f"debian {version}"
    assert host.says("hostname") == name
    assert host.says("id -u") == "0"


def test_a_host_that_is_not_well_says_so(debian12: Host) -> None:
    """The check above can fail: a unit that fails makes the system degraded."""
    debian12.run("systemd-run --unit=broken --wait false")
    try:
        assert debian12.run("systemctl is-system-running").stdout.strip() == "degraded"
    finally:
        debian12.says("systemctl reset-failed")
    assert debian12.says("systemctl is-system-running") == "running"


def test_hosts_share_no_control_group(debian12: Host, debian13: Host) -> None:
    one, other = (cgroups.members(f"{host.place.group}/{host.name}") for host in (debian12, debian13))

    assert len(one) > 3
    assert len(other) > 3
    assert not one & other


def test_a_service_stopped_in_one_host_runs_on_in_the_other(debian12: Host, debian13: Host) -> None:
    before = debian13.says("systemctl show -p MainPID --value systemd-logind")
    debian12.says("systemctl kill -s KILL systemd-logind")

    assert debian13.says("systemctl show -p MainPID --value systemd-logind") == before


def test_a_reboot_from_inside_comes_back_with_its_disk(fresh_host: Callable[..., Host]) -> None:
    host = fresh_host("debian12")
    host.says("echo kept > /srv/file && sync")
    before = host.says("stat -c %Y /proc/1; cat /proc/1/stat | cut -d' ' -f22")
    host.run("systemctl reboot")
    _until_other(host, before)

    assert host.says("cat /srv/file") == "kept"
    assert host.says("systemctl is-system-running --wait") == "running"


def _until_other(host: Host, before: str) -> None:
    """Until PID 1 is another one than `before`: ssh may still answer while the host goes down."""
    for _ in range(50):
        host.wait()
        now = host.run("stat -c %Y /proc/1; cat /proc/1/stat | cut -d' ' -f22")
        if now.returncode == 0 and now.stdout.strip() != before:
            return
    raise AssertionError("PID 1 stayed the same: no reboot")


def test_a_host_that_switched_itself_off_is_started_anew(lab: Lab) -> None:
    host = lab.up("off", "debian12")
    before = host.record.keeper
    host.run("systemctl poweroff")
    assert before.gone_within(30)
    assert ("off", "dead") in [(one["name"], one["state"]) for one in status.read(lab.place)["hosts"]]
    again = lab.up("off", "debian12")
    assert again.record.keeper != before
    assert again.says("echo here") == "here"
    lab.down("off")


def test_names_are_found_and_packages_come_from_outside(debian12: Host) -> None:
    """Through the way out: apt asks its mirror."""
    host = debian12
    host.says("apt-get -q -o Acquire::Retries=3 -o APT::Update::Error-Mode=any update")


def test_changes_may_lie_on_disk_and_go_with_the_host(fresh_host: Callable[..., Host]) -> None:
    host = fresh_host("debian12", on_disk=True)
    assert host.says("df --output=size -B1 / | tail -1") == _size_of(host.place.folder)
    host.says("echo here > /srv/file")

    upper = host.place.host(host.name) / "disks/system/upper"
    assert (upper / "srv/file").read_text() == "here\n"


def _size_of(folder: Path) -> str:
    told = subprocess.run(
        ["df", "--output=size", "-B1", str(folder)], capture_output=True, text=True, check=True
    )
    return told.stdout.split()[-1]


def test_the_inventory_takes_ansible_to_every_host(
    lab: Lab, debian12: Host, rented: Host, noroot: Host
) -> None:
    ansible = Path(sys.executable).with_name("ansible")
    hosts = ["debian12", "rented", "noroot"]
    told = subprocess.run(
        [str(ansible), "-i", str(lab.inventory), ",".join(hosts), "-o", "-m", "command", "-a", "id -u"],
        capture_output=True,
        text=True,
    )
    print(told.stdout, told.stderr)

    assert told.returncode == 0
    for host in hosts:
        assert f"{host} | CHANGED | rc=0 | (stdout) 0" in told.stdout, "root, if need be by sudo"


def test_a_host_with_another_key_is_refused(debian12: Host) -> None:
    """Host keys are checked: with known_hosts of another host, ssh does not go in."""
    stranger = debian12.place.folder / "stranger"
    stranger.write_text(f"{debian12.address} ssh-ed25519 {'A' * 68}\n")
    refused = debian12.run("true", "-o", f"UserKnownHostsFile={stranger}")

    assert refused.returncode == 255
    assert "host key" in refused.stderr.lower()
