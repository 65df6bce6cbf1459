"""Every rule, once good and once for each thing that it must find; the verdict over all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sightline.accept import card_rules, machine_rules, measured_rules
from sightline.accept.cards import GpuProcess
from sightline.accept.clock import Skew
from sightline.accept.disks import Disk
from sightline.accept.examine import RULES
from sightline.accept.findings import Examined, Finding, Rule, judge, verdict
from sightline.accept.needs import needs
from sightline.accept.speeds import DiskSpeed, Flow, LineSpeed
from tests.unit.accept_boxes import FOREIGN, GB, NEEDS, box, card, examined, smi_says, with_cards

MIB = 2**20


def found(rule: Rule, looked: Examined, needs: Any = NEEDS) -> dict[str, Finding]:
    return {finding.subject: finding for finding in rule(looked, needs)}


def outcome(rule: Rule, looked: Examined, subject: str, needs: Any = NEEDS) -> str:
    return found(rule, looked, needs)[subject].outcome


def test_a_healthy_box_is_accepted() -> None:
    findings = judge(examined(), NEEDS, RULES)
    assert [finding.subject for finding in findings if finding.outcome != "good"] == []
    assert verdict(findings) == "accept"


def test_a_finding_that_sends_the_box_back_says_why_and_what_to_do() -> None:
    ailing = card(
        memory_bytes=1, ecc_volatile=2, width=4, slowed=("hw_slowdown",), power_limit=300, used_bytes=9 * GB
    )
    worst = with_cards(ailing, driver="470.1", architecture="riscv64", memory_bytes=1, memory_limit=1)
    slow = DiskSpeed(Flow(1, 1), Flow(1, 1), False, False, None)
    worst = replace(
        worst, skew=Skew(9999, 1), disk_speed=slow, lines=(LineSpeed("http://a", Flow(9, 9), None),)
    )
    bad = [finding for finding in judge(worst, NEEDS, RULES) if finding.outcome == "bad"]
    assert [finding.subject for finding in bad] == [
        *("GPUs", "driver", "GPU memory errors", "GPU clocks", "GPU power limit", "GPU PCIe", "GPU shared"),
        *("memory", "disk write", "disk read", "line", "clock", "architecture"),
    ]
    assert all(finding.found and finding.wanted and finding.why and finding.remedy for finding in bad)


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ([], "accept"),
        (["good", "note"], "accept"),
        (["good", "unclear"], "could not tell"),
        (["unclear", "bad", "good"], "return"),
    ],
)
def test_one_bad_finding_outweighs_what_is_unclear(outcomes: list[Any], word: str) -> None:
    assert verdict([Finding("x", outcome, "") for outcome in outcomes]) == word


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "good"),
        ({"ecc_volatile": 1}, "bad"),
        ({"ecc_volatile": 0, "rows_failed": True}, "bad"),
        ({"ecc_volatile": 0, "rows_pending": True}, "bad"),
        ({"ecc_volatile": 0, "ecc_aggregate": 3}, "note"),
        ({"ecc_volatile": None, "ecc_aggregate": None}, "good"),
    ],
)
def test_memory_errors(changes: dict[str, Any], word: str) -> None:
    assert outcome(card_rules.memory_errors, with_cards(card(**changes)), "GPU memory errors") == word


@pytest.mark.parametrize(
    ("reasons", "word"),
    [
        ((), "good"),
        (("gpu_idle",), "good"),
        (("sw_power_cap",), "good"),
        (("applications_clocks_setting",), "good"),
        (("hw_slowdown",), "bad"),
        (("hw_thermal_slowdown",), "bad"),
        (("sw_thermal_slowdown",), "bad"),
        (("gpu_idle", "hw_power_brake_slowdown"), "bad"),
    ],
)
def test_idling_and_a_power_cap_are_no_slowdown(reasons: tuple[str, ...], word: str) -> None:
    assert outcome(card_rules.slowdown, with_cards(card(slowed=reasons)), "GPU clocks") == word


@pytest.mark.parametrize(("watts", "word"), [(700, "good"), (525, "note"), (524, "bad")])
def test_a_power_limit_below_three_quarters_of_the_cards_own(watts: float, word: str) -> None:
    looked = with_cards(card(power_limit=watts, power_default=700.0))
    assert outcome(card_rules.slowdown, looked, "GPU power limit") == word


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "good"),
        ({"width": 8}, "note"),
        ({"width": 4}, "bad"),
        # A slot with four lanes: nvidia-smi's own maximum is that of card and slot together.
        ({"width": 4, "width_max": 4}, "bad"),
        ({"width": 1, "width_max": 1}, "bad"),
        ({"width": 8, "width_max": 8}, "good"),
        ({"generation": 1}, "good"),
        ({"generation_max": 3, "generation": 3}, "note"),
        ({"width": None}, "note"),
    ],
)
def test_pcie(changes: dict[str, Any], word: str) -> None:
    assert outcome(card_rules.bus, with_cards(card(**changes)), "GPU PCIe") == word


def test_nvlinks() -> None:
    up, half, apart = card(links=(26.5,) * 18), card(links=(26.5,) * 17 + (0.0,)), card(links=())
    assert outcome(card_rules.links, with_cards(up, up), "GPU 1 NVLink") == "good"
    assert outcome(card_rules.links, with_cards(up, half), "GPU 1 NVLink") == "bad"
    assert outcome(card_rules.links, with_cards(half, half), "GPU 1 NVLink") == "good", "a smaller board"
    assert outcome(card_rules.links, with_cards(half), "GPU NVLink") == "good"
    assert outcome(card_rules.links, with_cards(up, apart), "GPU 1 NVLink") == "bad"
    assert outcome(card_rules.links, with_cards(apart, apart), "NVLink") == "note"
    waiting = with_cards(card(fabric="In Progress"))
    assert outcome(card_rules.links, waiting, "GPU NVLink") == "bad"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"used_bytes": 600 * MIB, "utilisation": 3}, "good"),
        ({"used_bytes": 1025 * MIB}, "bad"),
        ({"utilisation": 11}, "bad"),
        ({"processes": (GpuProcess(7, "python", None, ours=False),)}, "bad"),
        ({"processes": (GpuProcess(7, "python", None, ours=True),), "used_bytes": 9 * GB}, "note"),
    ],
)
def test_others_on_the_card(changes: dict[str, Any], word: str) -> None:
    assert outcome(card_rules.others, with_cards(card(**changes)), "GPU shared") == word


def test_what_is_in_a_recording_reaches_the_verdict() -> None:
    for text, subject in (
        (smi_says("h100-80gb", {"ecc_errors/volatile/dram_uncorrectable": "2"}), "GPU memory errors"),
        (smi_says("h100-80gb", {"pci/pci_gpu_link_info/link_widths/current_link_width": "4x"}), "GPU PCIe"),
        (smi_says("h100-80gb", processes=FOREIGN), "GPU shared"),
        (smi_says("a100-40gb-ailing"), "GPU clocks"),
    ):
        looked = examined(box=box(**{"smi /usr/bin/nvidia-smi": text}))
        findings = judge(looked, replace(NEEDS, gpu_bytes=40 * GB, driver_floor=None), RULES)
        assert subject in [finding.subject for finding in findings if finding.outcome == "bad"]


@pytest.mark.parametrize(
    ("sizes", "word"), [((80,), "good"), ((79,), "bad"), ((40, 40), "good"), ((40, 39), "bad")]
)
def test_the_model_fits_into_all_cards_together(sizes: tuple[int, ...], word: str) -> None:
    looked = with_cards(*(card(memory_bytes=size * GB) for size in sizes))
    assert outcome(machine_rules.gpus, looked, "GPUs") == word


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ((80,), "good"),
        # 50.8 GB are certain and 54.8 estimated; a card keeps 1.5% to itself.
        ((53,), "note"),
        ((51,), "bad"),
        # sightline-serve computes on one card.
        ((40, 40), "bad"),
        ((40, 80), "bad"),
    ],
)
def test_the_plans_estimate_counts_where_there_is_one(sizes: tuple[int, ...], word: str) -> None:
    looked = with_cards(*(card(memory_bytes=size * GB) for size in sizes))
    large = needs("llama-3.2-90b-vision-bnb-4bit")
    assert outcome(machine_rules.gpus, looked, "GPUs", large) == word


def test_a_card_whose_memory_is_not_told_is_unclear() -> None:
    assert outcome(machine_rules.gpus, with_cards(card(memory_bytes=None)), "GPUs") == "unclear"


def test_a_box_without_a_gpu_is_returned_only_where_one_is_needed() -> None:
    none = examined(
        box=box(**{"smi /usr/bin/nvidia-smi": "-", "pci": "0000:00:00.0 0x8086 0x0d57 0x060000\n"})
    )
    assert outcome(machine_rules.gpus, none, "GPUs") == "bad"
    assert outcome(machine_rules.gpus, none, "GPUs", replace(NEEDS, gpu_bytes=None)) == "good"


def test_a_bare_machine_whose_card_has_no_driver_yet_is_unclear() -> None:
    bare = box(
        **{
            "smi /usr/bin/nvidia-smi": "-",
            "environment": "",
            "file /proc/self/mounts": "/dev/a / ext4 rw 0 0\n",
        }
    )
    assert bare.container is None
    assert outcome(machine_rules.gpus, examined(box=bare), "GPUs") == "unclear"


def test_a_card_that_does_not_answer() -> None:
    looked = with_cards(card(), container=None, cards_on_bus=2)
    assert outcome(machine_rules.gpus, looked, "GPUs on the bus") == "bad"
    # A container may be shown cards of the machine that are not its own.
    assert "GPUs on the bus" not in found(machine_rules.gpus, with_cards(card(), cards_on_bus=8))


@pytest.mark.parametrize(
    ("version", "container", "word"),
    [
        ("550.54.14", "docker", "good"),
        ("560.35.03", "docker", "good"),
        ("550.54.13", "docker", "bad"),
        ("535.161.08", None, "note"),
        (None, "docker", "unclear"),
    ],
)
def test_the_drivers_floor(version: str | None, container: str | None, word: str) -> None:
    looked = with_cards(card(), driver=version, container=container, driver_state="installed")
    assert outcome(machine_rules.driver, looked, "driver") == word


def test_an_old_driver_that_one_may_not_replace_sends_the_box_back() -> None:
    looked = with_cards(
        card(), driver="535.1", container=None, driver_state="installed", root=False, sudo=False
    )
    assert outcome(machine_rules.driver, looked, "driver") == "bad"


def test_a_card_that_the_release_has_no_kernels_for_sends_the_box_back() -> None:
    """PyTorch 2.5.1 for CUDA 12.4 was built for compute capabilities 5.0 up to 9.0; an RTX 5090 has 12.0."""
    asked = needs("llama-3.2-90b-vision-bnb-4bit", "seed-cu124")
    blackwell = with_cards(card(name="NVIDIA GeForce RTX 5090"))
    finding = found(machine_rules.kernels, blackwell, asked)["kernels"]
    assert finding.outcome == "bad"
    assert "release seed-cu124 has no kernels for" in finding.wanted
    assert found(machine_rules.kernels, with_cards(card()), asked) == {}
    assert found(machine_rules.kernels, with_cards(card(name="a card that nobody knows")), asked) == {}
    assert found(machine_rules.kernels, blackwell, needs("canary", "cpu")) == {}


def test_architecture() -> None:
    looked = examined(box=box(system="aarch64\n6.1\n"))
    assert outcome(machine_rules.architecture, looked, "architecture") == "bad"
    assert (
        outcome(machine_rules.architecture, looked, "architecture", replace(NEEDS, architectures=()))
        == "good"
    )


def test_memory_is_what_the_control_group_gives() -> None:
    small = examined(box=box(**{"file /sys/fs/cgroup/memory.max": str(4 * GB)}))
    finding = found(machine_rules.memory, small)["memory"]
    assert finding.outcome == "bad"
    # 263,856,832 kB of MemTotal are 270 GB.
    assert finding.found == "4.00 GB (the machine has 270 GB)"
    enough = examined(box=box(**{"file /sys/fs/cgroup/memory.max": str(8 * GB)}))
    assert outcome(machine_rules.memory, enough, "memory") == "good"
    unknown = examined(box=box(**{"file /proc/meminfo": "-"}))
    assert outcome(machine_rules.memory, unknown, "memory") == "unclear"


@pytest.mark.parametrize(
    ("skew", "word"),
    [
        (Skew(0.3, 0.2), "good"),
        (Skew(-60, 1), "note"),
        (Skew(600.5, 1), "note"),
        (Skew(602, 1), "bad"),
        (Skew(-3600, 1), "bad"),
        (None, "unclear"),
    ],
)
def test_a_container_whose_clock_is_wrong_goes_back(skew: Skew | None, word: str) -> None:
    assert outcome(machine_rules.clock, examined(skew=skew), "clock") == word


def test_a_machine_of_ones_own_can_be_set_right() -> None:
    looked = replace(with_cards(card(), container=None), skew=Skew(3600, 1))
    assert outcome(machine_rules.clock, looked, "clock") == "note"
    stranger = replace(with_cards(card(), container=None, root=False, sudo=False), skew=Skew(3600, 1))
    assert outcome(machine_rules.clock, stranger, "clock") == "bad"


@pytest.mark.parametrize(("free", "word"), [(60, "good"), (59, "bad")])
def test_room_on_the_data_disk(free: int, word: str) -> None:
    disk = Disk("/data", "ext4", free * GB, 90 * GB, True, False, False)
    assert outcome(measured_rules.room, examined(disk=disk), "disk") == word


@pytest.mark.parametrize(("kind", "notes"), [("ext4", []), ("tmpfs", ["disk kind"]), ("zfs", ["disk read"])])
def test_memory_that_looks_like_a_disk_is_told(kind: str, notes: list[str]) -> None:
    disk = Disk("/data", kind, 70 * GB, 90 * GB, True, False, False)
    findings = judge(examined(disk=disk), NEEDS, (measured_rules.room, measured_rules.disk_speed))
    assert [finding.subject for finding in findings if finding.outcome == "note"] == notes


def test_no_disk_at_all_is_unclear() -> None:
    assert outcome(measured_rules.room, examined(disk=None), "disk") == "unclear"


def speeds(write: float | None, read: float | None, **changes: Any) -> Examined:
    """Megabytes a second, over two seconds; None: not measured."""
    flows = [Flow(round(rate * 2_000_000), 2) if rate else None for rate in (write, read)]
    return examined(disk_speed=replace(DiskSpeed(*flows, False, False, None), **changes))


@pytest.mark.parametrize(
    ("looked", "write", "read"),
    [
        (speeds(50, 100), "good", "good"),
        (speeds(49, 100), "bad", "good"),
        (speeds(50, 99), "good", "bad"),
        (speeds(500, 900, read_cached=True), "good", "note"),
        (speeds(500, 99, read_cached=True), "good", "bad"),
        (speeds(500, None, trouble="dd: no"), "good", "unclear"),
        (speeds(None, None, stalled=True, trouble="the time was over"), "bad", "unclear"),
        (speeds(70, None, stalled=True, trouble="the time was over"), "good", "bad"),
        (speeds(None, None, trouble="dd: full"), "unclear", "unclear"),
    ],
)
def test_disk_speeds(looked: Examined, write: str, read: str) -> None:
    both = found(measured_rules.disk_speed, looked)
    assert (both["disk write"].outcome, both["disk read"].outcome) == (write, read)


def test_large_weights_ask_for_a_faster_disk() -> None:
    """120 GB within ten minutes are 200 MB a second."""
    large = replace(NEEDS, weights_bytes=120 * GB)
    assert outcome(measured_rules.disk_speed, speeds(500, 199), "disk read", large) == "bad"
    assert outcome(measured_rules.disk_speed, speeds(500, 200), "disk read", large) == "good"


def test_a_disk_that_was_not_to_be_measured_is_a_note() -> None:
    assert outcome(measured_rules.disk_speed, examined(disk_speed=None), "disk speed") == "note"


def fetched(count: int, seconds: float) -> LineSpeed:
    return LineSpeed("http://a/x", Flow(count, seconds), None)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        # 52 GB within an hour are 14.4 MB a second.
        ((fetched(145_000_000, 10),), "good"),
        ((fetched(144_000_000, 10),), "bad"),
        ((fetched(1_000_000, 10), fetched(145_000_000, 10)), "good"),
        ((fetched(3_000_000, 1.9),), "unclear"),
        ((fetched(3_000_000, 8),), "bad"),
        ((LineSpeed("http://a/x", None, "curl: (22) 404"),), "bad"),
        ((LineSpeed("", None, "the box has neither curl nor wget"),), "unclear"),
        ((), "unclear"),
    ],
)
def test_the_line(lines: tuple[LineSpeed, ...], word: str) -> None:
    assert outcome(measured_rules.line, examined(lines=lines), "line") == word


def test_small_downloads_ask_for_two_megabytes_a_second() -> None:
    small = replace(NEEDS, fetch_bytes=GB)
    assert outcome(measured_rules.line, examined(lines=(fetched(20_000_000, 10),)), "line", small) == "good"
    assert outcome(measured_rules.line, examined(lines=(fetched(19_000_000, 10),)), "line", small) == "bad"


def test_a_line_that_nobody_asked_for_is_a_note() -> None:
    assert outcome(measured_rules.line, examined(lines=(), line_asked=False), "line") == "note"
