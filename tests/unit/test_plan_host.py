"""What the plan decides about driver, CUDA, cuDNN and container toolkit, and why it would not begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sightline.plan.host_checks import (
    driver_takes_the_cards,
    host_can_be_changed,
    host_notes,
    reboot_is_allowed,
    sources_have_it,
    system_disk_has_room,
    wishes_are_known,
)
from sightline.plan.host_side import HostSide, driver_is_to_come, host_side, host_steps
from sightline.plan.outcome import Objection
from sightline.plan.situation import Situation
from tests.unit.test_plan import GB, Inputs, on_a_gpu

H100 = {"address": "0000:1a:00.0", "device": "0x2330", "class": "0x030200"}


class Bare:
    """A bare Debian 13 machine with an H100 and no driver, for a release with CUDA."""

    def __init__(self) -> None:
        self.inputs = Inputs()
        on_a_gpu(self.inputs)
        self.facts = self.inputs.facts
        self.facts |= {
            "uid": 0,
            "user": "root",
            "init": "systemd",
            "distribution": {"id": "debian", "version": "13", "name": "Debian GNU/Linux 13 (trixie)"},
            "gpus": [],
            "pci": {"listed": True, "gpus": [dict(H100)], "nvswitches": []},
            "driver": {"state": "absent", "smi": None},
            "surroundings": {"container": None, "reboot_possible": True},
            "kernel_modules": {"nouveau": {"loaded": False, "blacklisted": False}, "secure_boot": False},
            "packages": {"manager": "dpkg", "lock": {"held": False, "holder": None}},
            "toolkit": {"cuda": [], "cudnn": []},
            "disks": [{"path": "/", "free_bytes": 40 * GB}],
            "host_sets": {},
        }
        self.wishes: dict[str, Any] = {}

    @property
    def situation(self) -> Situation:
        settings = self.inputs.settings | {"host": self.wishes}
        return Situation(self.inputs.model, self.inputs.release, self.facts, settings)

    @property
    def side(self) -> HostSide:
        return host_side(self.situation)


@pytest.fixture
def bare() -> Bare:
    return Bare()


def doing(side: HostSide) -> dict[str, str]:
    return {name: choice.doing for name, choice in side.parts().items()}


ALL_CHECKS = (
    wishes_are_known, host_can_be_changed, sources_have_it, driver_takes_the_cards, reboot_is_allowed,
    system_disk_has_room,
)  # fmt: skip


def objections(bare: Bare) -> list[tuple[str, Objection]]:
    return [
        (check.__name__, found)
        for check in ALL_CHECKS
        for found in check(bare.situation, {"driver", "environment"})
    ]


# --- what is done -----------------------------------------------------------------------------------------


def test_a_bare_machine_gets_driver_and_toolkit(bare: Bare) -> None:
    side = bare.side
    assert doing(side) == {
        "driver": "install", "cuda": "install", "cudnn": "none", "container_toolkit": "none",
    }  # fmt: skip
    assert (side.driver.source, side.driver.version) == ("debian", "550.163.01")
    assert (side.cuda.source, side.cuda.version) == ("debian", "12.4")
    assert (side.floor, side.kind, side.fabric_manager) == ("550.54.14", "open", False)
    assert side.installs == ["driver", "cuda"]
    assert objections(bare) == []
    assert [(step.name, step.action) for step in host_steps(bare.situation)] == [
        ("driver", "make"),
        ("cuda", "make"),
    ]
    assert any("open kernel module is tried first" in note for note in host_notes(bare.situation))
    assert driver_is_to_come(bare.situation)


def test_a_release_for_cpus_has_no_business_with_it(bare: Bare) -> None:
    bare.inputs.release |= {"accelerator": "cpu", "driver": None, "cuda": None, "cudnn": None}
    assert set(doing(bare.side).values()) == {"none"}
    assert host_steps(bare.situation) == []
    assert objections(bare) == []
    assert host_notes(bare.situation) == []
    for fact in ("gpus", "driver", "pci", "packages", "uid"):
        del bare.facts[fact]
    assert set(doing(bare.side).values()) == {"none"}, "and reads nothing of it"


def injected(bare: Bare) -> None:
    bare.facts["driver"] = {"state": "injected", "version": "550.54.14"}
    bare.facts["gpus"] = [{"name": "H100", "memory_bytes": 80 * GB}]
    bare.facts["surroundings"] = {"container": "docker", "reboot_possible": False}
    bare.facts["init"] = "supervised"


def installed(bare: Bare) -> None:
    bare.facts["driver"] = {"state": "installed", "version": "550.90.07"}
    bare.facts["gpus"] = [{"name": "H100", "memory_bytes": 80 * GB}]


def too_old(bare: Bare) -> None:
    installed(bare)
    bare.facts["driver"]["version"] = "535.1"


def broken(bare: Bare) -> None:
    bare.facts["driver"] = {"state": "installed", "version": "550.90.07", "smi": {"code": 9}}


def no_card(bare: Bare) -> None:
    bare.facts["pci"]["gpus"] = []


def empty_box(bare: Bare) -> None:
    """A container without an injected driver, in which the machine's cards are in sight."""
    bare.facts["surroundings"] = {"container": "docker", "reboot_possible": False}
    bare.facts["init"] = "supervised"


def kept_by_wish(bare: Bare) -> None:
    bare.wishes["driver"] = "keep"


@pytest.mark.parametrize("change", [injected, installed, too_old, broken, no_card, empty_box, kept_by_wish])
def test_whose_driver_it_is_or_who_has_no_card_gets_none(bare: Bare, change: Callable[[Bare], None]) -> None:
    change(bare)
    assert set(doing(bare.side).values()) == {"none"}
    assert not driver_is_to_come(bare.situation)
    assert objections(bare) == []


def test_an_injected_driver_is_not_touched_even_when_asked_for(bare: Bare) -> None:
    injected(bare)
    bare.wishes["driver"] = "install"
    assert bare.side.driver.doing == "none"


def test_a_driver_for_a_card_that_comes_later_can_be_asked_for(bare: Bare) -> None:
    no_card(bare)
    bare.inputs.release |= {"accelerator": "cpu", "driver": None, "cuda": None, "cudnn": None}
    bare.wishes |= {"driver": "install", "cuda": "12.4"}
    assert bare.side.installs == ["driver", "cuda"]
    assert bare.side.floor == "550.54.14", "that of the CUDA asked for"


def test_what_sightline_installed_is_kept_while_it_is_whole(bare: Bare) -> None:
    installed(bare)
    bare.facts["host_sets"] = {
        "driver": {"source": "nvidia", "whole": True, "wrong": None, "fingerprint": "f"},
        "cuda": {"source": "debian", "whole": False, "wrong": "nvcc is gone", "fingerprint": "g"},
    }
    side = bare.side
    assert (side.driver.doing, side.driver.source) == ("keep", "nvidia"), "from where it came"
    assert (side.cuda.doing, side.cuda.source) == ("install", "debian")
    assert "nvcc is gone" in side.cuda.why
    assert [step.action for step in host_steps(bare.situation)] == ["keep", "make"]


def test_an_interrupted_installation_is_gone_on_with(bare: Bare) -> None:
    """Half of the driver is there: its libraries, and no module yet."""
    broken(bare)
    bare.facts["host_sets"] = {"driver": {"source": "debian", "whole": False, "wrong": "not finished"}}
    assert bare.side.driver.doing == "install"
    assert driver_is_to_come(bare.situation)


def test_a_driver_of_ours_that_is_not_loaded_is_to_come(bare: Bare) -> None:
    broken(bare)
    bare.facts["host_sets"] = {"driver": {"source": "debian", "whole": True, "wrong": None}}
    assert bare.side.installs == ["cuda"]
    assert driver_is_to_come(bare.situation)
    bare.wishes["done"] = True
    assert not driver_is_to_come(bare.situation), "on the second look nothing more is to come"


def test_the_toolkit_comes_unasked_only_with_the_driver(bare: Bare) -> None:
    installed(bare)
    assert bare.side.cuda.doing == "none"
    bare.wishes["cuda"] = "12.4"
    for version, action in ((None, "install"), ("12.4.131", "none"), ("12.40", "install")):
        bare.facts["toolkit"]["cuda"] = [{"path": "/usr/local/cuda", "version": version, "nvcc": True}]
        assert doing(bare.side)["cuda"] == action


def test_nobody_wants_the_toolkit(bare: Bare) -> None:
    bare.wishes["cuda"] = "none"
    assert bare.side.installs == ["driver"]


def test_wishes_for_cudnn_and_containers(bare: Bare) -> None:
    bare.wishes |= {"cudnn": "wheel", "container_toolkit": True}
    side = bare.side
    assert side.installs == ["driver", "cuda", "cudnn", "container_toolkit"]
    assert (side.cudnn.source, side.cudnn.version) == ("wheel", "9.1.0.70")
    assert side.container_toolkit.source == "nvidia"


# --- where it comes from ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "named", "source"),
    [
        (("debian", "13"), "auto", "debian"),
        (("debian", "12"), "auto", "nvidia"),
        (("ubuntu", "22.04"), "auto", "ubuntu"),
        (("ubuntu", "22.04"), "nvidia", "nvidia"),
        (("ubuntu", "24.04"), "auto", "ubuntu"),
        (("debian", "13"), "nvidia", "nvidia"),
        (("debian", "12"), "debian", ""),
        (("fedora", "41"), "auto", ""),
        (("debian", "13"), "ubuntu", ""),
    ],
)
def test_the_source_of_the_driver(bare: Bare, distribution: tuple[str, str], named: str, source: str) -> None:
    bare.facts["distribution"] |= {"id": distribution[0], "version": distribution[1]}
    bare.wishes["source"] = named
    assert bare.side.driver.source == source
    found = [objection for name, objection in objections(bare) if name == "sources_have_it"]
    assert (len(found) == 1) is (source == "")
    if found:
        assert "driver 550.54.14 or newer" in found[0].what


def test_debians_own_driver_12_will_do_for_an_older_cuda(bare: Bare) -> None:
    bare.facts["distribution"] |= {"version": "12"}
    bare.inputs.release |= {"driver": {"floor": "520.61.05"}, "cuda": "11.8"}
    assert (bare.side.driver.source, bare.side.cuda.source) == ("debian", "debian")


def test_nvswitch_needs_a_source_with_fabric_manager(bare: Bare) -> None:
    bare.facts["pci"]["nvswitches"] = [{"address": "0000:05:00.0", "device": "0x22a3"}]
    assert bare.side.driver.source == ""
    (found,) = [objection for name, objection in objections(bare) if name == "sources_have_it"]
    assert "with Fabric Manager" in found.what
    assert "debian (550.163.01)" in found.why
    bare.facts["distribution"] |= {"version": "12"}
    assert (bare.side.driver.source, bare.side.fabric_manager) == ("nvidia", True)


def test_a_toolkit_that_no_source_has_is_noted_or_refused(bare: Bare) -> None:
    bare.facts["distribution"] |= {"id": "ubuntu", "version": "24.04"}
    assert bare.side.cuda.doing == "none"
    assert any("nvcc is left out" in note for note in host_notes(bare.situation))
    assert objections(bare) == []
    bare.wishes["cuda"] = "12.4"
    assert [name for name, _ in objections(bare)] == ["sources_have_it"]


@pytest.mark.parametrize(
    ("device", "kind"), [("0x1db6", "proprietary"), ("0x1eb8", "open"), ("0x2330", "open")]
)
def test_cards_before_turing_need_the_proprietary_module(bare: Bare, device: str, kind: str) -> None:
    bare.facts["pci"]["gpus"].append(H100 | {"device": device})
    assert bare.side.kind == kind
    assert objections(bare) == []


# --- why not ----------------------------------------------------------------------------------------------


def not_root(bare: Bare) -> None:
    bare.facts |= {"uid": 1000, "user": "ann"}


def no_dpkg(bare: Bare) -> None:
    bare.facts["packages"]["manager"] = None


def another_machine(bare: Bare) -> None:
    bare.facts["arch"] = "aarch64"


def locked(bare: Bare) -> None:
    bare.facts["packages"]["lock"] = {"held": True, "holder": "unattended-upgr (pid 812)"}


def blackwell(bare: Bare) -> None:
    bare.facts["pci"]["gpus"] = [H100 | {"device": "0x2901"}]


def kepler(bare: Bare) -> None:
    bare.facts["pci"]["gpus"] = [H100 | {"device": "0x1021"}]


def nouveau(bare: Bare) -> None:
    bare.facts["kernel_modules"]["nouveau"]["loaded"] = True


def nouveau_here(bare: Bare) -> None:
    nouveau(bare)
    bare.wishes |= {"local": True, "reboot_allowed": True}


def nouveau_without_a_reboot(bare: Bare) -> None:
    nouveau(bare)
    bare.facts["surroundings"]["reboot_possible"] = False


def full(bare: Bare) -> None:
    bare.facts["disks"] = [{"path": "/data", "free_bytes": 900 * GB}, {"path": "/", "free_bytes": 5 * GB}]


def odd_wish(bare: Bare) -> None:
    bare.wishes["driver"] = "yes"


REFUSED: dict[Callable[[Bare], None], tuple[str, str, str]] = {
    not_root: ("host_can_be_changed", "ann may not install the driver and cuda", "connect as root"),
    no_dpkg: ("host_can_be_changed", "cannot be installed here", "own means"),
    another_machine: ("host_can_be_changed", "cannot be installed here", "own means"),
    locked: ("host_can_be_changed", "unattended-upgr (pid 812) holds the lock", "wait"),
    blackwell: ("driver_takes_the_cards", "(10de:2901) is too new", "branch 570 or later"),
    kepler: ("driver_takes_the_cards", "(10de:1021) is too old", "newer card"),
    nouveau: ("reboot_is_allowed", "nouveau driver holds the GPU", "sightline_reboot_allowed=true"),
    nouveau_here: ("reboot_is_allowed", "nouveau driver holds the GPU", "update-initramfs -u, reboot"),
    nouveau_without_a_reboot: (
        "reboot_is_allowed",
        "nouveau driver holds the GPU",
        "start the host anew yourself",
    ),
    full: (
        "system_disk_has_room",
        "5.00 GB free on the system's disk, 8.30 GB needed",
        "sightline_cuda=none",
    ),
    odd_wish: ("wishes_are_known", "sightline_driver is 'yes'", "leave it out"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_each_obstacle_is_told_once_with_its_remedy(bare: Bare, change: Callable[[Bare], None]) -> None:
    check, what, remedy = REFUSED[change]
    change(bare)
    ((name, found),) = objections(bare)
    assert name == check
    assert what in found.what
    assert found.why
    assert remedy in found.remedy + found.why


def test_a_reboot_that_is_allowed_is_no_obstacle(bare: Bare) -> None:
    nouveau(bare)
    bare.wishes["reboot_allowed"] = True
    assert objections(bare) == []


@pytest.mark.parametrize("change", REFUSED)
def test_none_of_it_stops_a_host_that_has_its_driver(bare: Bare, change: Callable[[Bare], None]) -> None:
    change(bare)
    installed(bare)
    assert [name for name, _ in objections(bare)] in ([], ["wishes_are_known"])
