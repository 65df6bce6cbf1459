"""What a box is, read from what it said: the control group's limits, the disks, the ports, and no lies."""

from __future__ import annotations

import pytest

from sightline.accept import box as box_module
from sightline.accept.disks import choose
from sightline.accept.limits import memory_limit, processor_limit
from sightline.accept.sections import Said, Section
from tests.unit.accept_boxes import DF, MEMINFO, box, said

GIB = 2**30


def test_a_rented_container() -> None:
    found = box()
    assert (found.user, found.root, found.architecture) == ("root", True, "x86_64")
    assert (found.distribution, found.init) == ("Ubuntu 22.04.4 LTS", "supervised")
    assert (found.container, found.vm) == ("docker", None)
    assert (found.processors, found.processor) == (128, "AMD EPYC 9554")
    assert (found.memory_bytes, found.memory_limit) == (263856832 * 1024, None)
    assert (found.driver_state, found.driver) == ("injected", "550.54.14")
    assert (found.cards_on_bus, len(found.smi.cards), found.smi.cuda) == (1, 1, "12.4")
    assert found.ports == {22: 41022, 8642: 41642}
    assert (found.ssh_port, found.listening) == (22, (22,))


def test_a_box_that_says_nothing_is_unknown_and_no_crash() -> None:
    found = box_module.read_box(Said(()))
    assert (found.user, found.root, found.memory_bytes, found.processors) == ("unknown", False, None, None)
    assert (found.smi.path, found.disks, found.cards_on_bus) == (None, (), None)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"/sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"/sys/fs/cgroup/memory.max": "2147483648\n"}, 2 * GIB),
        ({"/sys/fs/cgroup/a/b/memory.max": "max", "/sys/fs/cgroup/a/memory.max": "1073741824"}, GIB),
        # v1's "none" is the largest number of pages that a signed 64-bit number counts in bytes.
        ({"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"/sys/fs/cgroup/memory/memory.limit_in_bytes": "4294967296\n"}, 4 * GIB),
        ({"/sys/fs/cgroup/memory.max": "rubbish"}, None),
        ({}, None),
    ],
)
def test_the_least_memory_limit_of_all_groups_counts(files: dict[str, str], limit: int | None) -> None:
    assert memory_limit(files) == limit


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"/sys/fs/cgroup/x/cpu.max": "800000 100000", "/sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "600000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_the_least_quota_of_processors_counts(files: dict[str, str], limit: float | None) -> None:
    assert processor_limit(files) == limit


def test_a_small_control_group_is_what_the_box_has_not_the_machine() -> None:
    found = box(
        **{"file /sys/fs/cgroup/memory.max": "8589934592\n", "file /sys/fs/cgroup/cpu.max": "800000 100000"}
    )
    assert (found.memory_bytes, found.memory_limit) == (8 * GIB, 8 * GIB)
    assert found.memory_shown == 263856832 * 1024
    assert found.processors == 8


def test_a_limit_above_the_machines_memory_is_none() -> None:
    found = box(**{"file /sys/fs/cgroup/memory.max": str(1024 * GIB)})
    assert (found.memory_bytes, found.memory_limit) == (263856832 * 1024, None)


def test_what_the_box_says_writes_no_file_elsewhere(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box may say anything: paths that the probe does not read are dropped, not laid out."""
    for path in ("/proc/../../../../tmp/evil", "/etc/passwd", "/../evil", "/usr/lib/../../libnvidia-ml.so.1"):
        assert not box_module._KEPT.fullmatch(path), path
    found = box(
        **{
            "file /../../evil": "x",
            "marks": "/etc/cron.d/evil\n/../evil\n",
            "pci": "../../../evil 0x10de 0x1 0x030000\n",
        }
    )
    assert found.cards_on_bus is None


def test_secrets_of_the_environment_are_not_read() -> None:
    found = box(environment="VAST_TCP_PORT_22=41022\nVAST_TCP_PORT_99=99 OPENAI_KEY=sk-1\nKEY=2\n")
    assert found.ports == {22: 41022}


def test_sudo_counts_when_it_asks_nothing() -> None:
    assert box(who="1000\nme\n", sudo="").sudo
    assert not box(who="1000\nme\n", sudo=Section("sudo", "", 1)).sudo
    assert not box(who="1000\nme\n").sudo


def test_disks_with_their_room() -> None:
    disks = box().disks
    assert [(disk.path, disk.free_bytes, disk.writable, disk.rental) for disk in disks] == [
        ("/", 20971520 * 1024, True, False),
        ("/root/autodl-tmp", 419430400 * 1024, True, True),
    ]


def test_a_device_that_is_mounted_twice_is_told_once() -> None:
    again = f"writable\n{DF}/dev/vdb1 524288000 1 419430400 20% /data\n"
    assert [disk.path for disk in box(**{"disk ext4 /data": again}).disks] == [
        "/",
        "/root/autodl-tmp",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "writable\n", f"writable\n{DF}", "writable\ndf: /x: Stale file handle\n", f"closed\n{DF}x y z\n"],
)
def test_a_disk_that_df_could_not_tell_is_left_out(text: str) -> None:
    assert "/data" not in [disk.path for disk in box(**{"disk ext4 /data": text}).disks]


def test_the_data_disk_is_the_houses_own_then_a_big_mount_then_the_root() -> None:
    big = f"writable\n{DF}/dev/vdc 524288000 1 500000000 1% /big\n"
    small = f"writable\n{DF}/dev/vdd 20000000 1 19000000 1% /small\n"
    closed = f"closed\n{DF}/dev/vde 924288000 1 900000000 1% /workspace\n"
    shared = f"writable\n{DF}server:/x 924288000 1 900000000 1% /root/autodl-fs\n"
    everything = {
        "disk ext4 /big": big,
        "disk ext4 /small": small,
        "disk ext4 /workspace": closed,
        "disk nfs4 /root/autodl-fs": shared,
    }

    def chosen(**without: str) -> str | None:
        disk = choose(box(**(everything | without)).disks, None)
        return disk.path if disk else None

    assert chosen() == "/root/autodl-tmp"
    no_rental = {"disk ext4 /root/autodl-tmp": "-"}
    assert chosen(**no_rental) == "/big"
    assert chosen(**no_rental, **{"disk ext4 /big": "-"}) == "/"
    assert chosen(**no_rental, **{"disk ext4 /big": "-", "disk overlay /": "-"}) is None


def test_the_folder_that_the_person_named_is_taken() -> None:
    named = f"writable\n{DF}/dev/vdb1 524288000 1 419430400 20% /root/autodl-tmp\n"
    disks = box(**{"disk named /root/autodl-tmp/x": named}).disks
    found = choose(disks, "/root/autodl-tmp/x")
    assert found is not None
    assert (found.path, found.filesystem) == ("/root/autodl-tmp/x", "ext4")
    assert choose(box().disks, "/nowhere") is None


def test_memory_is_read_as_the_probe_reads_it() -> None:
    assert said().text("file /proc/meminfo") == MEMINFO
    assert box(**{"file /proc/meminfo": "-"}).memory_bytes is None
