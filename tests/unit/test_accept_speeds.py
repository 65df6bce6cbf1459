"""Speeds out of the words of dd, curl and wget."""

from __future__ import annotations

import pytest

from sightline.accept.sections import Said, Section
from sightline.accept.speeds import Flow, disk_speed, line_speeds

RECORDS = "16+0 records in\n16+0 records out\n"
GNU = RECORDS + "16777216 bytes (17 MB, 16 MiB) copied, {} s, 1.1 GB/s\ntime 1.00 2.00\n"
BUSYBOX = RECORDS + "16777216 bytes (16.0MB) copied, {} seconds, 1.0GB/s\ntime 1.00 2.00\n"
PIECE = 16 * 2**20


def disk(*sections: Section) -> Said:
    return Said((Section("folder", "", 0), *sections))


SPARE = RECORDS + "time 10.00 {}\n"
"""A busybox built without dd's last line: only whole records, and the box's uptime before and after."""


def test_a_dd_that_tells_no_time_is_timed_by_the_box() -> None:
    told = SPARE.format("10.25") + SPARE.format("10.00")
    speed = disk_speed(disk(Section("writing fsync", "", 0), Section("write", told, 0)))
    # The second took less than a hundredth of a second, in which uptime counts.
    assert speed.write == Flow(2 * PIECE, 0.26)


def test_a_line_that_dd_counts_in_records_is_at_least_these() -> None:
    told = "7000+300 records in\n7000+300 records out\ntime 1.00 2.00\n"
    (speed,) = line_speeds(lines(Section("line http://a/x", told, 0)))
    assert speed.flow == Flow(7000 * 4096, 1.0)


@pytest.mark.parametrize("form", [GNU, BUSYBOX])
def test_the_pieces_are_summed(form: str) -> None:
    speed = disk_speed(
        disk(
            Section("writing direct fdatasync", "", 0),
            Section("write", form.format("0.5") + form.format("0.25"), 0),
            Section("reading direct", "", 0),
            Section("read", form.format("0.125") + form.format("3.5e-01"), 0),
        )
    )
    assert speed.write == Flow(2 * PIECE, 0.75)
    assert speed.read == Flow(2 * PIECE, 0.475)
    assert speed.write.rate == pytest.approx(44_739_242.7, rel=1e-6)
    assert not speed.write_cached
    assert not speed.read_cached
    assert speed.trouble is None


def test_the_page_cache_is_told_where_it_may_have_answered() -> None:
    speed = disk_speed(
        disk(
            Section("writing cached", "", 0),
            Section("write", GNU.format("1"), 0),
            Section("reading dropped", "", 0),
            Section("read", GNU.format("1"), 0),
        )
    )
    assert (speed.write_cached, speed.read_cached) == (True, False)


def test_a_time_that_was_over_leaves_what_was_measured() -> None:
    speed = disk_speed(disk(Section("writing fsync", "", 0), Section("write", GNU.format("12"), None)))
    assert speed.write == Flow(PIECE, 12)
    assert (speed.read, speed.stalled) == (None, False)


def test_a_disk_on_which_not_one_piece_was_written_is_stalled() -> None:
    assert disk_speed(disk(Section("write", "", None))).stalled


def test_a_full_disk_is_told_in_dds_words() -> None:
    full = "dd: error writing '/data/x': No space left on device\n1+0 records in\n0+0 records out\n"
    speed = disk_speed(disk(Section("prepare", full, 1)))
    assert speed.trouble == "dd: error writing '/data/x': No space left on device"
    assert speed.write is None


def test_a_folder_that_cannot_be_made_is_told() -> None:
    said = Said((Section("folder", "mkdir: cannot create directory: Read-only file system\n", 1),))
    assert disk_speed(said).trouble == "mkdir: cannot create directory: Read-only file system"
    assert disk_speed(Said(())).trouble == "its folder could not be made"


LINE = "7324+1 records in\n7324+1 records out\n30000000 bytes (30 MB, 29 MiB) copied, 0.5 s, 60 MB/s\n"


def lines(*sections: Section) -> Said:
    return Said(sections)


def test_the_line_is_taken_by_the_boxes_clock() -> None:
    (speed,) = line_speeds(lines(Section("line http://a/x", f"{LINE}time 100.50 103.00\n", 0)))
    assert (speed.address, speed.flow, speed.trouble) == ("http://a/x", Flow(30_000_000, 2.5), None)


def test_enough_is_no_failure() -> None:
    """curl ends with 23 when nobody reads any more: the most was fetched."""
    told = f"curl: (23) Failure writing output to destination\n{LINE}time 1.00 2.00\n"
    (speed,) = line_speeds(lines(Section("line http://a/x", told, 23)))
    assert speed.flow == Flow(30_000_000, 1.0)


def test_what_does_not_come_is_told_in_curls_words() -> None:
    told = "curl: (22) The requested URL returned error: 404\n0+0 records in\n0+0 records out\n"
    told += "0 bytes copied, 4.1e-05 s, 0.0 kB/s\ntime 1.00 1.10\n"
    (speed,) = line_speeds(lines(Section("line http://a/x", told, 22)))
    assert (speed.flow, speed.trouble) == (None, "curl: (22) The requested URL returned error: 404")


@pytest.mark.parametrize(("code", "broken"), [(139, True), (127, True), (143, False), (22, False)])
def test_a_program_that_crashes_says_nothing_of_the_line(code: int, broken: bool) -> None:
    told = "0+0 records in\n0+0 records out\ntime 1.00 1.10\n"
    (speed,) = line_speeds(lines(Section("line http://a/x", told, code)))
    assert (speed.address == "") is broken
    assert str(code) in str(speed.trouble)


def test_a_box_without_a_program_to_fetch_with() -> None:
    (speed,) = line_speeds(lines(Section("line none", "", 127)))
    assert speed.trouble == "the box has neither curl nor wget"


def test_an_address_that_was_cut_off() -> None:
    (speed,) = line_speeds(lines(Section("line http://a/x", "", None)))
    assert (speed.flow, speed.trouble) == (None, "the time was over")
