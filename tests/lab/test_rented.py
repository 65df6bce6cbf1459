"""The rented container: no systemd, a driver that was put in, a data disk, and only mapped ports."""

from __future__ import annotations

import hashlib
import http.client
import subprocess

import pytest

from tests.lab.host import Host
from tests.lab.place import CHECKOUT


def test_pid_1_is_sshd_and_there_is_no_systemd(rented: Host) -> None:
    assert rented.says("cat /proc/1/comm") == "sshd"
    assert rented.run("test -e /run/systemd/system").returncode == 1
    assert rented.run("command -v systemctl").returncode != 0
    assert rented.says("id -u") == "0"


def test_injected_files_are_the_recordings_and_cannot_be_changed(rented: Host) -> None:
    files = {inside: CHECKOUT / outside for inside, outside in rented.kind.injected.items()}
    files["/proc/driver/nvidia/version"] = files.pop("/proc/driver") / "nvidia/version"
    for inside, outside in files.items():
        before = hashlib.sha256(outside.read_bytes()).hexdigest()
        for attempt in ("echo x >> {0}", "rm -f {0}", "mv {0} /tmp/", "chmod 777 {0}"):
            assert rented.run(attempt.format(inside)).returncode != 0, attempt
        assert rented.says(f"sha256sum < {inside}").split()[0] == before


def test_the_drivers_stand_ins_are_at_work(rented: Host) -> None:
    refused = rented.run("nvidia-smi --no-such-question")
    assert (refused.returncode, "stand-in" in refused.stderr) == (6, True)
    assert "  550.54.14  " in rented.says("cat /proc/driver/nvidia/version")


def test_it_may_not_do_what_a_container_may_not(rented: Host, debian12: Host) -> None:
    for forbidden in ("mount -t tmpfs none /mnt", "ip link add dummy0 type dummy", "ip link set lo down"):
        assert rented.run(forbidden).returncode != 0, forbidden
    assert debian12.run("mount -t tmpfs none /mnt && umount /mnt").returncode == 0, "a machine may"


def test_the_data_disk_is_a_disk_of_its_own(rented: Host) -> None:
    assert rented.says("stat -c %d /root/autodl-tmp") != rented.says("stat -c %d /root")


def test_a_restart_keeps_both_disks_and_ends_all_processes(rented: Host) -> None:
    rented.says("echo data > /root/autodl-tmp/kept; echo system > /srv/kept")
    rented.says("nohup sleep 1000 >/dev/null 2>&1 & echo started")
    assert "sleep 1000" in rented.says("ps -eo args")
    rented.restart()

    assert rented.says("cat /root/autodl-tmp/kept /srv/kept").split() == ["data", "system"]
    assert "sleep 1000" not in rented.says("ps -eo args")


def test_only_mapped_ports_are_reached(rented: Host, debian12: Host) -> None:
    serve = "nohup python3 -m http.server -d /srv {0} >/dev/null 2>&1 </dev/null & sleep 1; echo started"
    for port in (6006, 7007):
        rented.says(serve.format(port))

    assert _answers(*rented.door(6006))
    assert not _answers(rented.address, 6006), "the container's own address is not for outsiders"
    assert not _answers(rented.address, 7007)
    debian12.says(serve.format(7007))
    assert _answers(debian12.address, 7007), "a machine of one's own has all its ports"
    with pytest.raises(ValueError, match="not in tuple"):
        rented.door(7007)


def test_ssh_at_the_containers_own_address_is_refused(rented: Host) -> None:
    address, port = rented.door(22)
    assert address != rented.address
    assert port != 22
    tried = subprocess.run(
        ["ssh", "-F", str(rented.place.ssh_config), f"root@{rented.address}", "true"], capture_output=True
    )
    assert tried.returncode == 255


def _answers(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
