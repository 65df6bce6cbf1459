"""Where else the root could lie: what the plan says of larger disks, and of a rented box's data disk."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.test_plan import GB, Inputs


def disk(path: str, free: int, **changes: Any) -> dict[str, Any]:
    """A disk as the probe tells it."""
    kept = {"filesystem": "ext4", "network": False, "rental": False, "writable": True}
    return {"path": path, "free_bytes": free, "total_bytes": 2 * free, **kept, **changes}


SYSTEM = disk("/", GB)
DATA = disk("/root/autodl-tmp", 80 * GB, rental=True)
SHARED = disk("/root/autodl-fs", 900 * GB, rental=True, network=True)
FOREIGN = disk("/mnt", 500 * GB, rental=True, writable=False)


def plan_on(*disks: object, free: int = GB, root: str = "/opt/sightline") -> Any:
    inputs = Inputs()
    inputs.facts["disks"] = list(disks)
    inputs.facts["root"]["free_bytes"] = free
    inputs.settings["root"] = root
    return inputs.plan()


def remedy(*disks: object) -> str:
    (refusal,) = plan_on(*disks).refusals
    assert refusal.check == "disk_is_free"
    return str(refusal.remedy)


def test_the_roomiest_disk_that_has_the_room_is_named() -> None:
    said = remedy(SYSTEM, DATA, disk("/data", 20 * GB), FOREIGN)
    assert said.endswith(
        "such as /root/autodl-tmp (80.0 GB free): -e sightline_root=/root/autodl-tmp/sightline"
    )


def test_a_network_disk_comes_last() -> None:
    assert "/root/autodl-tmp (" in remedy(SYSTEM, SHARED, DATA)
    assert "/root/autodl-fs (" in remedy(SYSTEM, SHARED)


@pytest.mark.parametrize(
    "disks", [(), (SYSTEM,), (SYSTEM, FOREIGN), ("?", {}, {"path": 1, "free_bytes": 9**9})]
)
def test_where_none_has_the_room_none_is_named(disks: tuple[object, ...]) -> None:
    assert remedy(*disks).endswith("to a folder on a larger disk")


def test_a_data_disk_is_told_while_the_root_is_to_be_made_elsewhere() -> None:
    notes = plan_on(SYSTEM, DATA, SHARED, free=50 * GB).notes
    assert [note for note in notes if "data disk" in note] == [
        "/root/autodl-tmp is a data disk (80.0 GB free), which on most rented boxes outlives what lies in "
        "/opt/sightline: -e sightline_root=/root/autodl-tmp/sightline"
    ]


def test_nothing_is_told_where_it_lies_there_or_there_is_none() -> None:
    for plan in (
        plan_on(SYSTEM, DATA, free=50 * GB, root="/root/autodl-tmp/sightline"),
        plan_on(SYSTEM, SHARED, FOREIGN, disk("/data", 900 * GB), free=50 * GB),
    ):
        assert not [note for note in plan.notes if "data disk" in note]
