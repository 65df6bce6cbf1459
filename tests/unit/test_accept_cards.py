"""GPUs as recorded lists of nvidia-smi show them."""

from __future__ import annotations

import pytest

from sightline.accept.cards import Smi, read_cards
from sightline.accept.sections import Section
from tests.unit.accept_boxes import FOREIGN, said, smi_says

SMI = "smi /usr/bin/nvidia-smi"
MIB = 2**20


def cards(text: str | Section, **others: str) -> Smi:
    return read_cards(said(**{SMI: text}, **others))


def test_a_healthy_h100() -> None:
    (card,) = cards(smi_says("h100-80gb")).cards
    assert (card.name, card.driver) == ("NVIDIA H100 80GB HBM3", "550.54.14")
    assert (card.memory_bytes, card.used_bytes) == (81559 * MIB, MIB)
    assert (card.width, card.width_max, card.generation, card.generation_max, card.generation_card) == (
        16,
        16,
        5,
        5,
        5,
    )
    assert (card.ecc_volatile, card.ecc_aggregate, card.rows_failed, card.rows_pending) == (
        0,
        0,
        False,
        False,
    )
    assert card.slowed == ("gpu_idle",)
    assert (card.power_limit, card.power_default) == (700, 700)
    assert card.links == (26.562, 26.562)
    assert card.processes == ()


def test_an_ailing_a100_of_an_older_driver() -> None:
    """The driver's older words: clocks_throttle_reasons, one count for on-chip errors."""
    (card,) = cards(smi_says("a100-40gb-ailing")).cards
    assert (card.ecc_volatile, card.ecc_aggregate) == (2, 6)
    assert card.rows_pending
    assert card.slowed == ("hw_slowdown", "hw_thermal_slowdown")
    assert card.temperature == 91


def test_a_card_without_ecc_counts_none() -> None:
    (card,) = cards(smi_says("rtx-4090")).cards
    assert (card.ecc_volatile, card.ecc_aggregate) == (None, None)


def test_two_cards_behind_a_switch() -> None:
    nvlink = "GPU 0: x\n\t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\nGPU 1: y\n\t Link 0: 25 GB/s\n"
    found = cards(smi_says("h100-80gb-x2-nvswitch"), nvlink=nvlink).cards
    assert [card.links for card in found] == [(26.562, 0.0), (25.0,)]
    assert [card.fabric for card in found] == ["Completed", "Completed"]


def test_a_process_that_is_not_of_this_box() -> None:
    (card,) = cards(smi_says("h100-80gb", processes=FOREIGN)).cards
    (process,) = card.processes
    assert (process.pid, process.name, process.ours) == (31337, "/opt/conda/bin/python", False)
    assert process.memory_bytes == 41234 * MIB


@pytest.mark.parametrize(
    ("here", "ours"), [("31337 python\n", True), ("31337 bash\n", False), ("31338 python\n", False)]
)
def test_a_process_is_of_this_box_by_number_and_name(here: str, ours: bool) -> None:
    (card,) = cards(smi_says("h100-80gb", processes=FOREIGN), processes=here).cards
    assert card.processes[0].ours is ours


def test_no_nvidia_smi() -> None:
    assert cards("-") == Smi(None, None, None, None, ())


def test_an_nvidia_smi_that_fails_is_told_in_its_own_words() -> None:
    failed = cards(Section(SMI, "NVIDIA-SMI has failed because it couldn't communicate\nx", 9))
    assert (failed.code, failed.cards) == (9, ())
    assert failed.said == "NVIDIA-SMI has failed because it couldn't communicate"


def test_an_nvidia_smi_that_did_not_end_lists_nothing() -> None:
    whole = smi_says("h100-80gb")
    assert cards(Section(SMI, whole[: len(whole) // 2], None)).cards == ()
    assert cards(Section(SMI, whole, None)).cards == ()


def test_warnings_before_and_after_the_list_do_not_hide_it() -> None:
    warned = f"WARNING: before\n{smi_says('h100-80gb')}\nWARNING: infoROM is corrupted\n"
    found = cards(Section(SMI, warned, 14))
    assert len(found.cards) == 1
    assert found.said == "WARNING: before"
