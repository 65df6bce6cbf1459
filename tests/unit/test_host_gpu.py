"""GPUs and their driver, read from fake roots: cards, both halves of the driver, kernel modules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sightline_host import nvidia_smi
from sightline_host.gpu_host import read_gpu_host
from sightline_host.kernel_modules import (
    nouveau_is_blacklisted,
    read_dkms,
    read_kernel_modules,
    read_secure_boot,
)
from sightline_host.nvidia_smi import find_smi, read_log, read_smi
from sightline_host.pci import read_pci

from tests.unit.gpu_hosts import (
    BOX_MOUNTS,
    KERNEL,
    LIBRARIES,
    MISMATCH,
    NOT_LOADED,
    PROPRIETARY,
    RECORDINGS,
    ROOT_MOUNT,
    SECURE_BOOT,
    GpuHost,
    bare_metal,
    fresh_metal,
    rented_box,
)

MIB = 2**20


def probe(host: GpuHost) -> dict[str, Any]:
    facts: Any = read_gpu_host(KERNEL, str(host.path))
    return facts  # type: ignore[no-any-return]


def card(name: str) -> list[dict[str, Any]]:
    log: Any = read_log(ElementTree.parse(RECORDINGS / f"nvidia-smi/{name}.xml").getroot())
    return log  # type: ignore[no-any-return]


# --- the bus ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "gpus", "switches"),
    [
        ("rtx-4090", {"0000:01:00.0": "0x2684"}, 0),
        ("a100-40gb", {"0000:07:00.0": "0x20b0"}, 0),
        ("h100-80gb", {"0000:1a:00.0": "0x2330"}, 0),
        ("h100-80gb-x2-nvswitch", {"0000:1a:00.0": "0x2330", "0000:9d:00.0": "0x2330"}, 4),
        ("no-gpu", {}, 0),
    ],
)
def test_cards_and_switches_on_the_bus(
    tmp_path: Path, tree: str, gpus: dict[str, str], switches: int
) -> None:
    host = GpuHost(tmp_path)
    host.bus(tree)

    found: Any = read_pci(tmp_path)

    assert {gpu["address"]: gpu["device"] for gpu in found["gpus"]} == gpus
    assert len(found["nvswitches"]) == switches
    assert found["fabric_manager_needed"] is (switches > 0)
    assert found["listed"] is True


def test_a_host_without_a_bus_says_that_nothing_was_listed(tmp_path: Path) -> None:
    assert read_pci(tmp_path) == {
        "listed": False,
        "gpus": [],
        "nvswitches": [],
        "fabric_manager_needed": False,
    }


# --- nvidia-smi -------------------------------------------------------------------------------------------


def test_a_card_in_detail() -> None:
    (found,) = card("h100-80gb")

    assert found.pop("uuid").startswith("GPU-")
    assert found == {
        "name": "NVIDIA H100 80GB HBM3",
        "memory_bytes": 81559 * MIB,
        "driver": "550.54.14",
        "address": "0000:1a:00.0",
        "persistence": True,
        "mig": False,
        "ecc": {"enabled": True, "volatile_uncorrected": 0, "aggregate_uncorrected": 0},
        "pcie": {"generation": 5, "generation_max": 5, "width": 16, "width_max": 16},
        "fabric": None,
        "clock_reasons": ["gpu_idle"],
    }


def test_what_a_card_does_not_have_is_none() -> None:
    (found,) = card("rtx-4090")

    assert found["memory_bytes"] == 24564 * MIB
    assert found["mig"] is None
    assert found["persistence"] is False
    assert found["ecc"] == {"enabled": False, "volatile_uncorrected": None, "aggregate_uncorrected": None}
    # at rest the link is slow
    assert found["pcie"]["generation"] < found["pcie"]["generation_max"]


def test_memory_errors_and_heat_are_seen_in_the_older_format() -> None:
    (found,) = card("a100-40gb-ailing")

    assert found["memory_bytes"] == 40960 * MIB
    assert found["driver"] == "535.161.08"
    assert found["ecc"] == {"enabled": True, "volatile_uncorrected": 2, "aggregate_uncorrected": 6}
    assert found["clock_reasons"] == ["hw_slowdown", "hw_thermal_slowdown"]


def test_two_cards_are_two() -> None:
    found = card("h100-80gb-x2-nvswitch")
    assert [gpu["address"] for gpu in found] == ["0000:1a:00.0", "0000:9d:00.0"]
    assert len({gpu["uuid"] for gpu in found}) == 2
    assert [gpu["fabric"] for gpu in found] == ["Completed", "Completed"]


def test_a_card_in_slices_has_the_memory_of_the_largest() -> None:
    sliced = (
        "<nvidia_smi_log><gpu id='00000000:07:00.0'><mig_mode><current_mig>Enabled</current_mig></mig_mode>"
        "<mig_devices>"
        "<mig_device><index>0</index><fb_memory_usage><total>9856 MiB</total></fb_memory_usage></mig_device>"
        "<mig_device><index>1</index><fb_memory_usage><total>19968 MiB</total></fb_memory_usage></mig_device>"
        "</mig_devices><fb_memory_usage><total>40960 MiB</total></fb_memory_usage></gpu></nvidia_smi_log>"
    )
    found: Any = read_log(ElementTree.fromstring(sliced))
    assert found[0]["mig"] is True
    assert found[0]["memory_bytes"] == 19968 * MIB


def test_errors_of_boards_before_ampere_are_counted_as_a_whole() -> None:
    old = (
        "<nvidia_smi_log><gpu id='00000000:3B:00.0'><ecc_errors><volatile>"
        "<single_bit><total>9</total></single_bit>"
        "<double_bit><device_memory>1</device_memory><total>4</total></double_bit></volatile></ecc_errors>"
        "<fb_memory_usage><total>N/A</total></fb_memory_usage></gpu></nvidia_smi_log>"
    )
    found: Any = read_log(ElementTree.fromstring(old))
    assert found[0]["ecc"]["volatile_uncorrected"] == 4
    assert (found[0]["memory_bytes"], found[0]["name"]) == (None, None)
    assert found[0]["address"] == "0000:3b:00.0"


@pytest.mark.parametrize(
    ("says", "code", "line"),
    [
        (NOT_LOADED, 9, NOT_LOADED),
        (MISMATCH, 18, "Failed to initialize NVML: Driver/library version mismatch"),
        ("", 1, None),
        ("No devices were found", 0, "No devices were found"),
        ("<nvidia_smi_log><gpu></gpu>", 0, "<nvidia_smi_log><gpu></gpu>"),
        ("<nvidia_smi_log><attached_gpus>0</attached_gpus></nvidia_smi_log>", 0, None),
    ],
)
def test_how_nvidia_smi_fails_is_a_fact(tmp_path: Path, says: str, code: int, line: str | None) -> None:
    host = GpuHost(tmp_path)
    host.smi(says=says, code=code)

    gpus, ended, _ = read_smi(tmp_path)

    assert gpus == []
    assert ended is not None
    assert (ended["path"], ended["code"]) == ("/usr/bin/nvidia-smi", code)
    if line is not None:
        assert ended["said"] == line


def test_a_card_that_is_shown_with_a_failure_does_not_count(tmp_path: Path) -> None:
    host = GpuHost(tmp_path)
    host.smi(says=(RECORDINGS / "nvidia-smi/rtx-4090.xml").read_text(), code=15)
    gpus, ended, _ = read_smi(tmp_path)
    assert gpus == []
    assert ended is not None
    assert ended["code"] == 15


def test_a_damaged_inforom_is_a_warning_and_stops_nothing(tmp_path: Path) -> None:
    host = GpuHost(tmp_path)
    warning = "WARNING: infoROM is corrupted at gpu 0000:01:00.0"
    host.smi(says=(RECORDINGS / "nvidia-smi/rtx-4090.xml").read_text() + warning, code=14)
    gpus, ended, cuda = read_smi(tmp_path)
    assert len(gpus) == 1
    assert ended == {"path": "/usr/bin/nvidia-smi", "code": 14, "said": warning}
    assert cuda == "12.4"


def test_an_nvidia_smi_that_hangs_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_smi, "SECONDS", 0.2)
    GpuHost(tmp_path).put("usr/bin/nvidia-smi", "#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "usr/bin/nvidia-smi").chmod(0o755)

    gpus, ended, _ = read_smi(tmp_path)

    assert gpus == []
    assert ended == {"path": "/usr/bin/nvidia-smi", "code": None, "said": "no answer within 0.2 s"}


def test_a_broken_program_is_told(tmp_path: Path) -> None:
    GpuHost(tmp_path).put("usr/bin/nvidia-smi", "#!/no/such/shell\n")
    (tmp_path / "usr/bin/nvidia-smi").chmod(0o755)
    _, ended, _ = read_smi(tmp_path)
    assert ended is not None
    assert ended["code"] is None
    assert ended["said"] == "No such file or directory"


def test_the_machines_own_nvidia_smi_is_the_one_in_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    GpuHost(tmp_path).smi("rtx-4090")
    monkeypatch.setenv("PATH", str(tmp_path / "usr/bin"))
    assert find_smi(Path("/")) == tmp_path / "usr/bin/nvidia-smi"
    assert find_smi(tmp_path / "elsewhere") is None


# --- whole hosts ------------------------------------------------------------------------------------------


def test_a_healthy_machine(tmp_path: Path) -> None:
    facts = probe(bare_metal(tmp_path))

    assert [gpu["name"] for gpu in facts["gpus"]] == ["NVIDIA H100 80GB HBM3"]
    assert facts["driver"] == {
        "state": "installed",
        "version": "550.54.14",
        "cuda": "12.4",
        "module_version": "550.54.14",
        "module_kind": "open",
        "library_version": "550.54.14",
        "smi": {"path": "/usr/bin/nvidia-smi", "code": 0, "said": None},
    }


def test_a_healthy_box(tmp_path: Path) -> None:
    facts = probe(rented_box(tmp_path))

    assert [gpu["name"] for gpu in facts["gpus"]] == ["NVIDIA GeForce RTX 4090"]
    assert facts["driver"]["state"] == "injected"
    assert facts["driver"]["library_version"] == "550.54.14"
    assert facts["kernel_modules"]["ours"] is False


def test_a_machine_without_a_driver(tmp_path: Path) -> None:
    facts = probe(fresh_metal(tmp_path))

    assert facts["gpus"] == []
    assert len(facts["pci"]["gpus"]) == 1
    assert facts["driver"] == {
        "state": "absent",
        "version": None,
        "cuda": None,
        "module_version": None,
        "module_kind": None,
        "library_version": None,
        "smi": None,
    }


def test_an_empty_root_has_every_fact(tmp_path: Path) -> None:
    facts = probe(GpuHost(tmp_path))
    assert facts["driver"]["state"] == "absent"
    assert facts["packages"]["manager"] is None
    assert (facts["torch"], facts["toolkit"]) == ([], {"cuda": [], "cudnn": []})


def test_the_two_halves_of_a_driver_are_read_apart(tmp_path: Path) -> None:
    host = bare_metal(tmp_path)
    host.libraries("550.90.07")
    host.smi(says=MISMATCH, code=18)

    driver = probe(host)["driver"]

    assert (driver["module_version"], driver["library_version"]) == ("550.54.14", "550.90.07")
    assert driver["version"] == "550.54.14"


def test_the_proprietary_module_is_told_from_the_open_one(tmp_path: Path) -> None:
    host = bare_metal(tmp_path)
    host.module("535.261.03", PROPRIETARY)
    assert probe(host)["driver"]["module_kind"] == "proprietary"
    assert probe(host)["driver"]["module_version"] == "535.261.03"
    # without /proc (a sandbox may hide it) the version is still known, the kind is not
    host.remove("proc/driver")
    driver = probe(host)["driver"]
    assert (driver["module_version"], driver["module_kind"]) == ("535.261.03", None)


@pytest.mark.parametrize(
    "trace",
    [
        "proc/driver/nvidia/version",
        "sys/module/nvidia/version",
        f"{LIBRARIES}/libnvidia-ml.so.1",
        "usr/lib64/libnvidia-ml.so.1",
    ],
)
def test_any_trace_of_a_driver_makes_it_installed(tmp_path: Path, trace: str) -> None:
    host = GpuHost(tmp_path)
    host.put(trace, "550.54.14\n")
    assert probe(host)["driver"]["state"] == "installed"


@pytest.mark.parametrize(
    ("mounts", "state"),
    [
        (BOX_MOUNTS, "injected"),
        ("/dev/vda1 /usr/local/nvidia ext4 ro 0 0\n", "injected"),
        ("/dev/vda1 /usr/local/nvidia/lib64 ext4 ro 0 0\n", "injected"),
        ("drivers /usr/lib/wsl/drivers 9p ro 0 0\n", "injected"),
        (ROOT_MOUNT, "absent"),
        ("/dev/vda1 /srv/nvidia ext4 rw 0 0\n", "absent"),
        ("/srv/libnvidia-store /srv/models ext4 rw 0 0\n", "absent"),
    ],
)
def test_a_driver_that_is_mounted_is_injected(tmp_path: Path, mounts: str, state: str) -> None:
    host = GpuHost(tmp_path)
    host.put("proc/self/mounts", mounts)
    assert probe(host)["driver"]["state"] == state


def test_a_library_under_the_loaders_own_name_is_read_off_its_neighbour(tmp_path: Path) -> None:
    host = GpuHost(tmp_path)
    host.put(f"{LIBRARIES}/libnvidia-ml.so.1")
    assert probe(host)["driver"]["library_version"] is None
    host.put(f"{LIBRARIES}/libnvidia-ml.so.570.86.10")
    assert probe(host)["driver"]["library_version"] == "570.86.10"


def test_a_link_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    host = GpuHost(tmp_path)
    (tmp_path / LIBRARIES).mkdir(parents=True)
    os.symlink("libnvidia-ml.so.1", tmp_path / LIBRARIES / "libnvidia-ml.so.1")
    assert probe(host)["driver"]["library_version"] is None


# --- kernel modules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "container", "on"),
    [
        (b"\x06\x00\x00\x00\x01", None, True),
        (b"\x06\x00\x00\x00\x00", None, False),
        (b"\x06\x00\x00", None, None),
        (b"", None, None),
        (None, None, False),
        (None, "docker", None),
    ],
)
def test_secure_boot(tmp_path: Path, content: bytes | None, container: str | None, on: bool | None) -> None:
    host = GpuHost(tmp_path)
    if content is not None:
        host.put(SECURE_BOOT, content)
    assert read_secure_boot(tmp_path, container) is on


@pytest.mark.parametrize(
    ("file", "text", "blacklisted"),
    [
        ("etc/modprobe.d/no.conf", "# why\nblacklist nouveau\n", True),
        ("usr/lib/modprobe.d/nvidia.conf", "blacklist nouveau", True),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz quiet modprobe.blacklist=floppy,nouveau", True),
        ("proc/cmdline", "quiet nouveau.modeset=0", True),
        ("etc/modprobe.d/no.conf", "# blacklist nouveau\nblacklist nouveau2\n", False),
        ("etc/modprobe.d/no.txt", "blacklist nouveau\n", False),
        ("proc/cmdline", "modprobe.blacklist=floppy nouveau.modeset=1", False),
    ],
)
def test_nouveau_blacklisted(tmp_path: Path, file: str, text: str, blacklisted: bool) -> None:
    GpuHost(tmp_path).put(file, text)
    assert nouveau_is_blacklisted(tmp_path) is blacklisted


def test_nouveau_headers_and_modules_built(tmp_path: Path) -> None:
    host = GpuHost(tmp_path)
    assert read_kernel_modules(tmp_path, KERNEL, None) == {
        "ours": True,
        "headers": False,
        "dkms": [],
        "nouveau": {"loaded": False, "blacklisted": False},
        "secure_boot": False,
    }
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    (tmp_path / "lib/modules" / KERNEL / "build").mkdir(parents=True)
    tree = "var/lib/dkms/nvidia-current/550.163.01"
    host.put(f"{tree}/{KERNEL}/x86_64/module/nvidia-current.ko.xz")
    host.put(f"{tree}/{KERNEL}/x86_64/module/nvidia-current-uvm.ko.xz")
    host.put(f"{tree}/6.1.0-27-amd64/x86_64/log/make.log")
    host.put("var/lib/dkms/nvidia-current-open/550.163.01/build/dkms.conf")
    host.put("var/lib/dkms/zfs/2.1.11/x")

    found: Any = read_kernel_modules(tmp_path, KERNEL, None)

    assert found["nouveau"]["loaded"] is True
    assert found["headers"] is True
    assert read_dkms(tmp_path) == [
        {"name": "nvidia-current", "version": "550.163.01", "kernels": [KERNEL]},
        {"name": "nvidia-current-open", "version": "550.163.01", "kernels": []},
    ]
