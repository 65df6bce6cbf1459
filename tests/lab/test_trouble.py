"""Slow and lossy networks, and full disks: seen from inside, and gone again."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.lab import disks
from tests.lab.host import Host
from tests.lab.problems import LabError

_PING = "ping -q -i 0.05 -c {count} {gateway}"


def _round_trip(host: Host, count: int = 5) -> float:
    """Mean of ping's round trips, ms."""
    told = host.says(_PING.format(count=count, gateway=_gateway(host)))
    found = re.search(r"= [\d.]+/([\d.]+)/", told)
    assert found
    return float(found[1])


def _lost(host: Host, count: int) -> float:
    """Per cent of pings without an answer."""
    told = host.run(_PING.format(count=count, gateway=_gateway(host))).stdout
    found = re.search(r"([\d.]+)% packet loss", told)
    assert found
    return float(found[1])


def _gateway(host: Host) -> str:
    return host.says("ip route show default").split()[2]


def test_latency_comes_and_goes(debian12: Host) -> None:
    assert _round_trip(debian12) < 50
    with debian12.slowed(latency="100ms"):
        assert 100 <= _round_trip(debian12) < 200
    assert _round_trip(debian12) < 50


@pytest.mark.slow
def test_losses_come_and_go(debian12: Host) -> None:
    with debian12.slowed(loss="20%"):
        # Of 100 pings 36 are lost on one way or the other, give or take 4.8: this is 5 of those away.
        assert 12 <= _lost(debian12, 100) <= 60
    assert _lost(debian12, 20) == 0


def test_one_slow_host_slows_no_other(debian12: Host, debian13: Host) -> None:
    with debian12.slowed(latency="200ms"):
        assert _round_trip(debian13) < 50


def test_what_is_carried_slowly_arrives_whole(debian12: Host) -> None:
    content = hashlib.sha256(b"\0" * 20_000_000).hexdigest()
    with debian12.slowed(latency="20ms"):
        told = debian12.run("head -c 20000000 /dev/zero")
    assert hashlib.sha256(told.stdout.encode()).hexdigest() == content


def test_a_rented_host_is_slow_through_its_mapped_port(rented: Host) -> None:
    with rented.slowed(latency="100ms"):
        assert 100 <= _round_trip(rented) < 250
        assert rented.says("echo $SSH_CONNECTION")


def test_a_full_disk_refuses_writing_and_keeps_what_it_holds(debian12: Host) -> None:
    debian12.says("echo before > /srv/before")
    with debian12.filled("/srv"):
        failed = debian12.run("head -c 1000000 /dev/zero > /srv/more")
        assert failed.returncode != 0
        assert "No space left on device" in failed.stderr
        assert debian12.says("cat /srv/before") == "before"
    debian12.says("head -c 1000000 /dev/zero > /srv/more && rm /srv/more")


def test_what_is_left_free_can_be_written(debian12: Host) -> None:
    with debian12.filled("/srv", leave="8m"):
        assert debian12.run("head -c 4000000 /dev/zero > /srv/little && rm /srv/little").returncode == 0
        assert debian12.run("head -c 20000000 /dev/zero > /srv/much").returncode != 0
        debian12.run("rm -f /srv/much")


def test_the_data_disk_is_filled_by_itself(rented: Host) -> None:
    with rented.filled("/root/autodl-tmp/models"):
        assert rented.run("head -c 100000 /dev/zero > /root/autodl-tmp/x").returncode != 0
        assert rented.run("head -c 100000 /dev/zero > /srv/x").returncode == 0
    rented.says("head -c 100000 /dev/zero > /root/autodl-tmp/x")


def test_this_machines_own_disk_is_never_filled(rented: Host) -> None:
    record = rented.record
    on_disk = type(record)(record.name, record.kind, record.index, record.keeper, {})
    with pytest.raises(LabError, match="this machine's disk"):
        disks.disk_of(on_disk, "/srv")
    with pytest.raises(LabError, match="begins with /"):
        disks.disk_of(record, "srv")
