"""Nothing is left: after `down`, after a crash, and the check that says so is itself seen to fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import base, cgroups, links, slow
from tests.lab.base import Base
from tests.lab.commands import run
from tests.lab.host import Lab
from tests.lab.kinds import Recipe
from tests.lab.place import CHECKOUT, Place
from tests.lab.problems import LabError
from tests.lab.traces import Traces


@pytest.fixture
def other_lab(lab_possible: None, lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A lab beside the session's, which keeps running: it has to stay as it is."""
    made = Lab(Place.at(tmp_path / "lab"))
    yield made
    made.down()


def test_down_leaves_nothing_and_touches_no_other_lab(other_lab: Lab, lab: Lab) -> None:
    bystander = lab.up("debian12")
    before = Traces.read(other_lab.place)
    other_lab.up("debian12")
    rented = other_lab.up("rented")
    slow.switch_on(other_lab.place, rented.record, latency=0.01, loss=0)
    there = Traces.read(other_lab.place).more_than(before)
    assert {line.partition(":")[0] for line in there} >= {"links", "groups", "tables", "processes"}
    other_lab.down("debian12")
    other_lab.down()

    assert Traces.read(other_lab.place).more_than(before) == []
    assert bystander.says("echo here") == "here"
    assert sorted(entry.name for entry in other_lab.place.folder.rglob("*")) == [
        "hosts",
        "key",
        "key.pub",
        "lock",
    ]


def test_the_last_host_of_all_gives_the_network_setting_back(other_lab: Lab) -> None:
    """ip_forward: other labs may still need it; what one lab adds to the book goes with it."""
    before = Traces.read(other_lab.place).forwarding
    other_lab.up("debian12")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    other_lab.down()
    assert Traces.read(other_lab.place).forwarding == before


@pytest.mark.parametrize("then", ["down", "up"])
def test_after_a_crash_of_everything_all_is_swept(other_lab: Lab, then: str) -> None:
    before = Traces.read(other_lab.place)
    host, rented = other_lab.up("debian12"), other_lab.up("rented")
    slow.switch_on(other_lab.place, rented.record, latency=0.01, loss=0)
    killed = [host.record.keeper.pid, rented.record.keeper.pid]
    for name in ("debian12", "rented"):
        killed += sorted(cgroups.members(f"{other_lab.place.group}/{name}"))
    for pid in killed:
        _kill(pid)
    assert Traces.read(other_lab.place).more_than(before), "a crash leaves something to sweep"
    if then == "up":
        again = other_lab.up("debian12")
        assert again.says("echo again") == "again"
        assert list(other_lab.place.records()) == ["debian12"]
    other_lab.down()
    assert Traces.read(other_lab.place).more_than(before) == []


def test_a_host_whose_keeper_was_killed_is_swept_too(other_lab: Lab) -> None:
    before = Traces.read(other_lab.place)
    _kill(other_lab.up("debian12").record.keeper.pid)
    assert cgroups.members(f"{other_lab.place.group}/debian12"), "the host itself still runs"
    other_lab.down()
    assert Traces.read(other_lab.place).more_than(before) == []


def test_hosts_whose_folder_was_deleted_are_swept_too(other_lab: Lab) -> None:
    before = Traces.read(other_lab.place)
    other_lab.up("debian12")
    shutil.rmtree(other_lab.place.folder)
    assert Traces.read(other_lab.place).more_than(before)
    other_lab.down()
    assert Traces.read(other_lab.place).more_than(before) == []


def test_an_up_that_is_killed_halfway_leaves_nothing_after_the_next_command(other_lab: Lab) -> None:
    before = Traces.read(other_lab.place)
    words = ["--folder", str(other_lab.place.folder), "up", "debian12", "rented"]
    # A few moments: before the first host, between its mounts and its network, while it boots.
    for moment in (0.3, 0.5, 0.7, 0.9):
        up = subprocess.Popen(
            [sys.executable, "-m", "tests.lab", *words],
            cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(moment)
        up.kill()
        up.wait()
        other_lab.down()
        assert Traces.read(other_lab.place).more_than(before) == []


def test_a_tree_that_does_not_boot_is_thrown_away(
    other_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = Traces.read(other_lab.place)

    def broken(recipe: Recipe, cache: Path) -> Base:
        folder = tmp_path / "base/broken-1"
        (folder / "tree/etc").mkdir(parents=True)
        (folder / "tree/etc/os-release").write_text("ID=broken\n")
        (folder / "tree/root").mkdir()
        return Base(recipe, folder)

    monkeypatch.setattr(base, "ensure", broken)
    with pytest.raises(LabError, match="thrown away"):
        other_lab.up("debian12")

    assert not (tmp_path / "base/broken-1").exists()
    assert Traces.read(other_lab.place).more_than(before) == []


@contextmanager
def _link(place: Place) -> Iterator[None]:
    links.ip("link", "add", f"sl{place.tag}x", "type", "bridge")
    yield
    links.remove(f"sl{place.tag}x")


@contextmanager
def _namespace(place: Place) -> Iterator[None]:
    # Where ip-netns(8) pins namespaces by name; the program itself would leave a mount there for good.
    names = Path("/run/netns")
    made = not names.exists()
    names.mkdir(exist_ok=True)
    (names / place.group).touch()
    yield
    (names / place.group).unlink()
    if made:
        names.rmdir()


@contextmanager
def _mount(place: Place) -> Iterator[None]:
    place.folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "none", str(place.folder))
    yield
    run("umount", str(place.folder))


@contextmanager
def _group(place: Place) -> Iterator[None]:
    cgroups.make(place.group)
    yield
    cgroups.remove(place.group)


@contextmanager
def _table(place: Place) -> Iterator[None]:
    run("nft", "add", "table", "inet", place.table)
    yield
    run("nft", "delete", "table", "inet", place.table)


@contextmanager
def _process(place: Place) -> Iterator[None]:
    left = subprocess.Popen(["sh", "-c", f"sleep 60; : {place.folder}"], start_new_session=True)
    yield
    os.killpg(left.pid, signal.SIGKILL)
    left.wait()


@pytest.mark.parametrize(
    ("leave", "named"),
    [
        (_link, "links"),
        (_namespace, "namespaces"),
        (_mount, "mounts"),
        (_group, "groups"),
        (_table, "tables"),
        (_process, "processes"),
    ],
)
def test_the_check_sees_what_is_left(
    leave: Callable[[Place], Iterator[None]], named: str, other_lab: Lab
) -> None:
    before = Traces.read(other_lab.place)
    with leave(other_lab.place):  # type: ignore[attr-defined]
        assert any(line.startswith(f"{named}:") for line in Traces.read(other_lab.place).more_than(before))
    assert Traces.read(other_lab.place).more_than(before) == []


@pytest.mark.parametrize("leave", [_link, _group, _table])
def test_what_carries_the_labs_tag_is_swept_even_without_a_record(
    leave: Callable[[Place], Iterator[None]], other_lab: Lab
) -> None:
    before = Traces.read(other_lab.place)
    leaving = leave(other_lab.place)
    leaving.__enter__()  # type: ignore[attr-defined]
    other_lab.place.folder.mkdir(exist_ok=True)
    other_lab.down()
    assert Traces.read(other_lab.place).more_than(before) == []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
