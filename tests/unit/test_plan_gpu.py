"""What the plan says of GPU hosts, from their files to the refusal: healthy ones, and one for each fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sightline_host.gpu_host import read_gpu_host
from sightline_host.hardware import read_hardware

from sightline.plan import Plan
from sightline.plan.apt import apt_is_free
from sightline.plan.reading import Unreadable
from sightline.plan.situation import Situation
from tests.unit.gpu_hosts import (
    KERNEL,
    MISMATCH,
    NOT_LOADED,
    RECORDINGS,
    SECURE_BOOT,
    GpuHost,
    bare_metal,
    fresh_metal,
    rented_box,
)
from tests.unit.test_plan import Inputs, on_a_gpu

_OF_THE_HOST = ("init", "surroundings", "distribution")


def facts_of(host: GpuHost) -> dict[str, Any]:
    """What the probe reads of the fake root; memory and disks of the machine under the test are left out."""
    hardware = read_hardware(str(host.path))
    return {key: hardware[key] for key in _OF_THE_HOST} | read_gpu_host(KERNEL, str(host.path))


def plan_for(host: GpuHost, uid: int = 0, gpu_release: bool = True, **wishes: object) -> Plan:
    inputs = Inputs()
    inputs.settings["host"] = wishes
    if gpu_release:
        on_a_gpu(inputs)
    inputs.facts |= facts_of(host) | {"uid": uid, "user": "root" if uid == 0 else "somebody"}
    return inputs.plan()


# --- hosts with nothing in the way ------------------------------------------------------------------------


def two_cards_and_switches(path: Path) -> GpuHost:
    return bare_metal(path, "h100-80gb-x2-nvswitch")


def signed_modules(path: Path) -> GpuHost:
    """Secure Boot is on, and the kernel took the module: it was signed with a key that it knows."""
    host = bare_metal(path)
    host.put(SECURE_BOOT, b"\x06\x00\x00\x00\x01")
    return host


def nouveau_on_another_card(path: Path) -> GpuHost:
    host = bare_metal(path)
    (host.path / "sys/module/nouveau").mkdir()
    return host


def stale_library_in_the_image(path: Path) -> GpuHost:
    """The image holds libraries of another driver beside the injected ones; nvidia-smi works all the same."""
    host = rented_box(path)
    host.put("usr/lib/i386-linux-gnu/libnvidia-ml.so.535.1")
    host.put("usr/lib/i386-linux-gnu/libnvidia-ml.so.1")
    return host


def systemd_only_installed(path: Path) -> GpuHost:
    """An image with systemd's programs in it, where something else is process 1."""
    host = rented_box(path)
    for program in ("usr/lib/systemd/systemd", "usr/bin/systemctl", "sbin/init"):
        host.put(program)
    return host


def one_of_eight_cards(path: Path) -> GpuHost:
    """The bus of the machine beneath shows more cards than the box was given."""
    host = rented_box(path, "h100-80gb-x2-nvswitch")
    host.smi("h100-80gb")
    return host


HEALTHY = [
    bare_metal,
    rented_box,
    two_cards_and_switches,
    signed_modules,
    nouveau_on_another_card,
    stale_library_in_the_image,
    systemd_only_installed,
    one_of_eight_cards,
]


@pytest.mark.parametrize("make", HEALTHY)
def test_nothing_stands_in_the_way_of_a_healthy_host(tmp_path: Path, make: Callable[[Path], GpuHost]) -> None:
    plan = plan_for(make(tmp_path))
    assert plan.refusals == ()
    assert not any("GPU" in note for note in plan.notes)


def test_systemds_programs_alone_do_not_make_its_services(tmp_path: Path) -> None:
    assert facts_of(systemd_only_installed(tmp_path))["init"] == "supervised"


# --- and one for each fault -------------------------------------------------------------------------------


def no_card(path: Path) -> GpuHost:
    host = fresh_metal(path)
    host.bus("no-gpu")
    return host


def driver_without_card(path: Path) -> GpuHost:
    """Packages are installed, the card was taken out."""
    host = bare_metal(path)
    host.bus("no-gpu")
    host.unload()
    host.smi(says=NOT_LOADED, code=9)
    return host


def halves_differ(path: Path) -> GpuHost:
    """The packages were renewed, the module of before still runs."""
    host = bare_metal(path)
    host.libraries("550.90.07")
    host.smi(says=MISMATCH, code=18)
    return host


def halves_differ_without_smi(path: Path) -> GpuHost:
    host = halves_differ(path)
    host.remove("usr/bin/nvidia-smi")
    return host


def halves_differ_in_a_box(path: Path) -> GpuHost:
    """The machine beneath was renewed while the box ran."""
    host = rented_box(path)
    host.module("550.90.07")
    host.smi(says=MISMATCH, code=18)
    return host


def halves_differ_by_what_smi_says(path: Path) -> GpuHost:
    """The libraries lie where their version cannot be read off a file's name."""
    host = halves_differ(path)
    host.remove("usr/lib")
    host.put("usr/lib64/libnvidia-ml.so.1")
    return host


def nouveau(path: Path) -> GpuHost:
    host = bare_metal(path)
    host.unload()
    host.smi(says=NOT_LOADED, code=9)
    (host.path / "sys/module/nouveau").mkdir(parents=True)
    return host


def nouveau_until_the_next_start(path: Path) -> GpuHost:
    host = nouveau(path)
    host.put("etc/modprobe.d/nvidia.conf", "blacklist nouveau\noptions nouveau modeset=0\n")
    return host


def secure_boot(path: Path) -> GpuHost:
    """DKMS built the module, and the kernel refused it."""
    host = bare_metal(path)
    host.unload()
    host.smi(says=NOT_LOADED, code=9)
    host.put(SECURE_BOOT, b"\x06\x00\x00\x00\x01")
    return host


def nouveau_and_secure_boot_beside_the_point(path: Path) -> GpuHost:
    """Another card runs on nouveau and the module was signed: it is loaded, and fails all the same."""
    host = fallen_off_the_bus(path)
    (host.path / "sys/module/nouveau").mkdir()
    host.put(SECURE_BOOT, b"\x06\x00\x00\x00\x01")
    return host


def module_not_loaded(path: Path) -> GpuHost:
    host = bare_metal(path)
    host.unload()
    host.smi(says=NOT_LOADED, code=9)
    return host


def fallen_off_the_bus(path: Path) -> GpuHost:
    host = bare_metal(path)
    host.smi(says="Unable to determine the device handle for GPU0000:1A:00.0: GPU is lost.", code=15)
    return host


def no_smi(path: Path) -> GpuHost:
    host = bare_metal(path)
    host.remove("usr/bin/nvidia-smi")
    return host


def card_of_a_virtual_machine(path: Path) -> GpuHost:
    host = bare_metal(path)
    host.smi(says="No devices were found", code=0)
    return host


def box_started_without_gpu(path: Path) -> GpuHost:
    """As on a start without a GPU: the driver's files are there, the bus shows the machine's cards."""
    host = rented_box(path)
    host.smi(says="No devices were found", code=6)
    return host


def box_without_gpu_and_driver(path: Path) -> GpuHost:
    """As on such a start elsewhere: the container got nothing of NVIDIA's."""
    host = rented_box(path)
    host.put("proc/self/mounts", "overlay / overlay rw 0 0\n")
    host.remove("usr")
    return host


def box_without_gpu_on_a_signed_machine(path: Path) -> GpuHost:
    """The machine beneath has Secure Boot on and nouveau loaded, which is none of the box's business."""
    host = box_without_gpu_and_driver(path)
    host.unload()
    (host.path / "sys/module/nouveau").mkdir()
    host.put(SECURE_BOOT, b"\x06\x00\x00\x00\x01")
    return host


def box_with_a_stale_library(path: Path) -> GpuHost:
    """And its image holds a library of its own, of another version than the machine's module."""
    host = box_without_gpu_and_driver(path)
    host.libraries("535.1")
    return host


def old_driver(path: Path) -> GpuHost:
    return bare_metal(path, "a100-40gb", "535.161.08")


def no_fabric(path: Path) -> GpuHost:
    """Fabric Manager does not run on a machine that needs it."""
    host = two_cards_and_switches(path)
    shown = (RECORDINGS / "nvidia-smi/h100-80gb-x2-nvswitch.xml").read_text()
    host.put("recording.xml", shown.replace("<state>Completed</state>", "<state>In Progress</state>"))
    host.smi(recording=host.path / "recording.xml")
    return host


FAULTS: dict[Callable[[Path], GpuHost], tuple[str, str, str]] = {
    no_card: ("gpu_is_there", "the host shows no NVIDIA GPU", "use a host with a GPU"),
    driver_without_card: ("gpu_is_there", "the host shows no NVIDIA GPU", "use a host with a GPU"),
    halves_differ: (
        "driver_halves_agree",
        "the NVIDIA kernel module is 550.54.14, the libraries are 550.90.07",
        "reboot the host",
    ),
    halves_differ_without_smi: (
        "driver_halves_agree",
        "550.54.14, the libraries are 550.90.07",
        "modprobe nvidia",
    ),
    halves_differ_in_a_box: (
        "driver_halves_agree",
        "550.90.07, the libraries are 550.54.14",
        "restart the box",
    ),
    halves_differ_by_what_smi_says: ("driver_halves_agree", "the libraries are ?", "reboot the host"),
    nouveau_and_secure_boot_beside_the_point: ("smi_answers", "exit code 15", "off and on"),
    box_without_gpu_on_a_signed_machine: ("gpu_is_there", "the box has no GPU", "start the box"),
    nouveau: ("nouveau_is_not_loaded", "the nouveau driver holds the GPU", "'blacklist nouveau'"),
    nouveau_until_the_next_start: ("nouveau_is_not_loaded", "the nouveau driver", "blacklisted already"),
    secure_boot: ("secure_boot_lets_the_module_in", "Secure Boot is on", "mokutil --import"),
    module_not_loaded: (
        "smi_answers",
        "/usr/bin/nvidia-smi fails with exit code 9: NVIDIA-SMI has failed because",
        "modprobe nvidia",
    ),
    fallen_off_the_bus: ("smi_answers", "exit code 15: Unable to determine the device handle", "off and on"),
    no_smi: ("driver_lists_the_cards", "PCI shows 1 NVIDIA GPU and a driver is installed", "nvidia-smi"),
    card_of_a_virtual_machine: (
        "driver_lists_the_cards",
        "PCI shows 1 NVIDIA GPU, the driver lists none",
        "vfio",
    ),
    box_started_without_gpu: (
        "gpu_is_there",
        "the box has no GPU (nvidia-smi: No devices were found)",
        "start the box",
    ),
    box_without_gpu_and_driver: (
        "gpu_is_there",
        "the box has no GPU (nvidia-smi: it is not there)",
        "start the box",
    ),
    box_with_a_stale_library: ("gpu_is_there", "the box has no GPU", "start the box again with a GPU"),
    no_fabric: ("fabric_is_up", "2 of 2 GPUs wait for NVSwitch", "nvidia-fabricmanager"),
    old_driver: ("driver_is_new_enough", "the NVIDIA driver is 535.161.08", "install a newer driver"),
}


@pytest.mark.parametrize("make", FAULTS)
def test_each_fault_is_refused_once_and_by_name(tmp_path: Path, make: Callable[[Path], GpuHost]) -> None:
    check, what, remedy = FAULTS[make]
    plan = plan_for(make(tmp_path))

    assert [refusal.check for refusal in plan.refusals] == [check]
    (refusal,) = plan.refusals
    assert what in refusal.what
    assert remedy in refusal.remedy
    assert refusal.why
    assert refusal.step == "service"


@pytest.mark.parametrize("make", [*HEALTHY, *FAULTS])
def test_a_release_for_cpus_asks_nothing_of_gpus(tmp_path: Path, make: Callable[[Path], GpuHost]) -> None:
    plan = plan_for(make(tmp_path), uid=1000, gpu_release=False)
    assert plan.refusals == ()
    assert not any("GPU" in note for note in plan.notes)


def test_a_fresh_machine_gets_a_driver_where_it_may_be_installed(tmp_path: Path) -> None:
    plan = plan_for(fresh_metal(tmp_path))
    assert plan.refusals == ()
    assert [(step.name, step.action) for step in plan.steps[:2]] == [("driver", "make"), ("cuda", "make")]
    assert plan.host is not None
    assert plan.host["driver"]["source"] == "debian"


def test_without_a_driver_and_without_the_wish_for_one_nothing_is_begun(tmp_path: Path) -> None:
    (refusal,) = plan_for(fresh_metal(tmp_path), driver="keep").refusals
    assert refusal.check == "driver_is_there"
    assert "PCI shows 1 NVIDIA GPU, but there is no NVIDIA driver" in refusal.what
    assert "sightline_driver=auto" in refusal.remedy


def test_on_the_second_look_a_driver_that_does_not_work_is_refused(tmp_path: Path) -> None:
    """After its installation: what was let pass before is told now."""
    host = module_not_loaded(tmp_path)
    host.put("etc/os-release", 'ID=debian\nVERSION_ID="13"\n')
    (refusal,) = plan_for(host, done=True).refusals
    assert refusal.check == "smi_answers"


def test_without_root_nobody_installs_a_driver(tmp_path: Path) -> None:
    (refusal,) = plan_for(fresh_metal(tmp_path), uid=1000).refusals
    assert refusal.check == "host_can_be_changed"
    assert refusal.step == "driver"
    assert "somebody may not install the driver" in refusal.what
    assert "connect as root" in refusal.remedy


def test_a_fresh_machine_is_told_all_that_stands_before_its_driver(tmp_path: Path) -> None:
    host = fresh_metal(tmp_path)
    (host.path / "sys/module/nouveau").mkdir(parents=True)
    host.put(SECURE_BOOT, b"\x06\x00\x00\x00\x01")
    assert {refusal.check for refusal in plan_for(host).refusals} == {
        "reboot_is_allowed",
        "secure_boot_lets_the_module_in",
    }
    (refusal,) = plan_for(host, reboot_allowed=True).refusals
    assert refusal.check == "secure_boot_lets_the_module_in"


def test_a_container_with_its_own_systemd_is_a_machine(tmp_path: Path) -> None:
    """It may be given cards and a driver of its own, and is told of the driver, not to rent another."""
    host = fresh_metal(tmp_path)
    host.put("run/systemd/container", "systemd-nspawn\n")
    assert plan_for(host).refusals == ()
    (refusal,) = plan_for(host, driver="keep").refusals
    assert refusal.check == "driver_is_there"


def test_a_host_that_cannot_reboot_is_told_to_reload(tmp_path: Path) -> None:
    host = halves_differ(tmp_path)
    host.remove("run/systemd")
    (refusal,) = plan_for(host).refusals
    assert "reboot" not in refusal.remedy
    assert "rmmod" in refusal.remedy


def test_without_a_bus_to_see_the_driver_is_believed(tmp_path: Path) -> None:
    host = module_not_loaded(tmp_path)
    host.remove("sys/bus")
    (refusal,) = plan_for(host).refusals
    assert refusal.check == "smi_answers"


# --- notes ------------------------------------------------------------------------------------------------


def test_a_card_that_ails_is_noted(tmp_path: Path) -> None:
    host = bare_metal(tmp_path, "a100-40gb")
    host.smi("a100-40gb-ailing")
    notes = " ".join(plan_for(host).notes)
    assert "GPU 0 (NVIDIA A100-SXM4-40GB) has had 2 uncorrected memory error(s)" in notes
    assert "is being slowed by the board's own protection and heat" in notes


def test_a_card_that_the_driver_does_not_list_is_noted(tmp_path: Path) -> None:
    host = bare_metal(tmp_path, "h100-80gb-x2-nvswitch")
    host.smi("h100-80gb")
    plan = plan_for(host)
    assert plan.ok
    assert any("PCI shows 2 NVIDIA GPUs, the driver lists 1" in note for note in plan.notes)


# --- installing packages ----------------------------------------------------------------------------------


def test_a_lock_of_apts_that_is_held_stops_an_installation() -> None:
    inputs = Inputs()
    there = Situation(inputs.model, inputs.release, inputs.facts, inputs.settings)
    inputs.facts["packages"] = {"lock": {"held": False, "holder": None}}
    assert list(apt_is_free(there, set())) == []

    inputs.facts["packages"] = {"lock": {"held": True, "holder": "unattended-upgr (pid 812)"}}
    (objection,) = apt_is_free(there, set())
    assert objection.what == "unattended-upgr (pid 812) holds the lock of apt"
    assert "wait" in objection.remedy

    inputs.facts["packages"] = {}
    with pytest.raises(Unreadable, match=r"packages\.lock\.held"):
        list(apt_is_free(there, set()))
