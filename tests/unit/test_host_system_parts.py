"""Whether a library or a program of the system is there."""

from __future__ import annotations

from sightline_host.system_parts import HEADER, LIBRARIES, PROGRAMS, read_system_parts


def test_what_is_there_and_what_is_not_are_told_apart() -> None:
    told = read_system_parts(("libc.so.6", "libnobody.so.9"), ("sh", "no-such-program"))
    assert isinstance(told.pop(HEADER), bool)
    assert told == {"libc.so.6": True, "libnobody.so.9": False, "sh": True, "no-such-program": False}
    assert set(read_system_parts()) == {*LIBRARIES, *PROGRAMS, HEADER}
