"""What the host checks read: lock files and the kernel's tables of sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.prove.lockfile import drift, pins
from tests.testinfra.facts import listening_addresses

MARKERS = {
    "python_version": "3.11",
    "python_full_version": "3.11.7",
    "sys_platform": "linux",
    "os_name": "posix",
}
LOCK = """\
# made by a locker
--index-url https://example.test/simple
torch==2.13.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via something
Jinja2==3.1.6 ; python_version >= "3.9" \\
    --hash=sha256:cc
old-thing==1.0 ; python_version < "3.9"
"""
TABLES = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:21C2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 3 1
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:21C2 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 0000000000000000FFFF00000200007F:21C2 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file with continuations, hashes, options, comments and markers."""
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    return path


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"torch": "2.13.0", "jinja2": "3.1.6"}, ""),
        ({"torch": "2.13.0+cpu", "Jinja2": "3.1.6", "pip": "1", "setuptools": "2"}, ""),
        ({"torch": "2.13.0"}, "missing: jinja2"),
        ({"torch": "2.12.1", "jinja2": "3.1.6"}, "at another version: torch 2.12.1 instead of 2.13.0"),
        ({"torch": "2.13.0", "jinja2": "3.1.6", "Odd_Thing": "4"}, "not in the lock: odd-thing 4"),
        ({"torch": "2.13.0", "jinja2": "3.1.6", "old.thing": "1.0"}, "not in the lock: old-thing 1.0"),
        ({"jinja2": "3"}, "missing: torch; at another version: jinja2 3 instead of 3.1.6"),
    ],
)
def test_environment_and_lock(lock: Path, installed: dict[str, str], said: str) -> None:
    difference = drift(pins([lock], MARKERS), installed)
    assert str(difference) == said
    assert bool(difference) is bool(said)


def test_own_packages_need_no_pin(lock: Path) -> None:
    found = {"torch": "2.13.0", "jinja2": "3.1.6", "sightline_serve": "0.1"}
    assert not drift(pins([lock], MARKERS), found, frozenset({"sightline-serve"}))


def test_several_locks_add_up(lock: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("extra==1\n")
    assert set(pins([lock, more], MARKERS)) == {"torch", "jinja2", "extra"}


def test_a_line_that_is_no_pin_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lock.txt"
    path.write_text("what is this?\n")
    with pytest.raises(ValueError, match=r"lock\.txt: 'what is this\?' is no pinned requirement"):
        pins([path], MARKERS)


@pytest.mark.parametrize(
    ("port", "addresses"),
    [
        (8642, {"127.0.0.1", "::1", "127.0.0.2"}),
        (22, {"0.0.0.0"}),
        (80, {"::"}),
        (8080, set()),
        (9, set()),
    ],
)
def test_listening_addresses(port: int, addresses: set[str]) -> None:
    """8642 = 0x21C2; 8080 is an established connection, not a listener."""
    assert listening_addresses(TABLES, port) == addresses
