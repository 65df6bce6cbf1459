"""The rules that need no host: sources, pip's settings, addresses, amounts, the shared switch."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from tests.lab import apt_sources, base, disks, slow
from tests.lab.base import Base
from tests.lab.forwarding import Forwarding
from tests.lab.kinds import KINDS
from tests.lab.network import free_range
from tests.lab.pip_settings import read
from tests.lab.place import Place
from tests.lab.problems import LabError
from tests.lab.processes import Process

RECIPE = KINDS["debian12"].recipe


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A Debian 12 with sources in both formats, one of them not Debian's, one disabled."""
    folder = tmp_path / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    (tmp_path / "etc/apt/sources.list").write_text(
        "# a comment\n"
        "deb [arch=amd64 signed-by=/keys/one.gpg] http://mirror.test/debian bookworm main contrib # why\n"
        "deb-src http://mirror.test/debian bookworm main\n"
    )
    (folder / "more.sources").write_text(
        "Types: deb deb-src\nURIs: http://mirror.test/security\n"
        "Suites: bookworm-security bookworm-backports\nComponents: main\nSigned-By: /keys/two.gpg\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb\nURIs: http://else.test/apt\nSuites: stable\nComponents: main\n"
        "Signed-By:\n -----BEGIN\n .\n"
    )
    return tmp_path


def test_the_machines_mirrors_serve_another_suite(machine: Path) -> None:
    assert apt_sources.for_suite("trixie", machine) == [
        "deb [signed-by=/keys/one.gpg] http://mirror.test/debian trixie main contrib",
        "deb [signed-by=/keys/two.gpg] http://mirror.test/security trixie-security main",
    ]


def test_a_machine_that_is_no_debian_names_no_mirror(machine: Path) -> None:
    (machine / "etc/os-release").write_text("ID=ubuntu\nVERSION_CODENAME=jammy\n")
    assert apt_sources.for_suite("trixie", machine) == []


def test_a_changed_recipe_is_another_tree() -> None:
    prints = {
        base.fingerprint(RECIPE, ["a"], []),
        base.fingerprint(RECIPE, ["b"], []),
        base.fingerprint(RECIPE, ["a"], ["o"]),
        base.fingerprint(type(RECIPE)(RECIPE.name, RECIPE.suite, (*RECIPE.packages, "more")), ["a"], []),
    }
    assert len(prints) == 4
    assert base.fingerprint(RECIPE, ["a"], []) in prints


def test_a_trusted_tree_replaces_older_ones_of_its_name(tmp_path: Path) -> None:
    for name in ("debian12-old", "debian12-new", "debian13-old"):
        (tmp_path / name / "tree").mkdir(parents=True)
    new = Base(RECIPE, tmp_path / "debian12-new")
    assert not new.trusted
    new.trust()

    assert new.trusted
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["debian12-new", "debian13-old"]


def test_pip_is_told_where_packages_are_and_nothing_else(tmp_path: Path) -> None:
    index, wheels = tmp_path / "index/simple", tmp_path / "wheels"
    index.mkdir(parents=True)
    wheels.mkdir()
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text(
        f"[global]\nindex-url = http://weak.test/simple\ncache-dir = /cache\ncert = /mine.crt\n"
        f"extra-index-url =\n  file://{index}\n  http://more.test/simple\n"
    )
    strong.write_text(f"[install]\nindex_url = http://strong.test/simple\nfind-links = {wheels} /absent\n")
    found = read([weak, strong, tmp_path / "absent.conf"], {"PIP_TIMEOUT": "9", "PIP_LOG": "/log"})

    assert found.folders == tuple(sorted([str(index.parent), str(wheels)]))
    assert "index-url = http://strong.test/simple\n" in found.text
    assert "timeout = 9\n" in found.text
    assert f"    file://{index}\n    http://more.test/simple\n" in found.text
    assert "cert = /etc/ssl/certs/ca-certificates.crt\n" in found.text
    for word in ("weak", "cache", "/mine.crt", "/log"):
        assert word not in found.text


def test_without_settings_pip_is_told_nothing(tmp_path: Path) -> None:
    found = read([tmp_path / "absent.conf"], {})
    assert (found.text, found.folders) == ("", ())


def test_a_range_that_is_in_use_is_passed_over() -> None:
    def taken(*ranges: str) -> str:
        return str(free_range(ipaddress.IPv4Network(one) for one in ranges))

    assert taken() == "10.77.0.0/24"
    assert taken("192.168.0.0/16") == "10.77.0.0/24"
    assert taken("10.77.0.128/25", "10.77.1.7/32") == "10.77.2.0/24"
    with pytest.raises(LabError, match="no free range"):
        taken("10.0.0.0/8")


def test_the_last_lab_to_leave_restores_forwarding(tmp_path: Path) -> None:
    setting, book = tmp_path / "ip_forward", tmp_path / "book"
    setting.write_text("0\n")
    switch = Forwarding(setting, book)
    switch.need("one")
    switch.need("two")
    switch.need("one")  # again, as after a crash
    assert setting.read_text() == "1"
    switch.release("one")
    assert setting.read_text() == "1"
    switch.release("never-needed-it")
    assert setting.read_text() == "1"
    switch.release("two")

    assert setting.read_text() == "0"
    assert not book.exists()
    switch.release("two")


def test_forwarding_that_was_on_stays_on(tmp_path: Path) -> None:
    setting = tmp_path / "ip_forward"
    setting.write_text("1\n")
    switch = Forwarding(setting, tmp_path / "book")
    switch.need("one")
    switch.release("one")
    assert setting.read_text() == "1"


def test_amounts() -> None:
    assert [slow.seconds(text) for text in ("100ms", "1.5s", "200us")] == pytest.approx([0.1, 1.5, 0.0002])
    assert [slow.share(text) for text in ("1%", "0.5%", "100%")] == pytest.approx([0.01, 0.005, 1])
    assert [disks.size(text) for text in ("8g", "512M", "64k", "7")] == [8 << 30, 512 << 20, 64 << 10, 7]


@pytest.mark.parametrize("text", ["", "100", "-1ms", "61s", "1 ms", "nan"])
def test_no_latency(text: str) -> None:
    with pytest.raises(LabError, match="such as 100ms"):
        slow.seconds(text)


@pytest.mark.parametrize("text", ["", "1", "101%", "-1%"])
def test_no_loss(text: str) -> None:
    with pytest.raises(LabError, match="such as 1%"):
        slow.share(text)


def test_names_fit_into_what_the_kernel_allows(tmp_path: Path) -> None:
    place, other = Place.at(tmp_path / "a"), Place.at(tmp_path / "b")
    assert len(place.bridge) <= 15
    assert len(place.link("h", 249)) <= 15
    assert place.tag != other.tag


def test_a_pid_that_was_given_away_is_left_alone() -> None:
    import os

    me = Process.of(os.getpid())
    assert me.alive()
    stranger = Process(me.pid, me.started - 1)
    assert not stranger.alive()
    stranger.stop()  # would end this test run if it looked at the pid alone
    assert me.alive()


def test_a_half_written_record_is_no_host(tmp_path: Path) -> None:
    place = Place.at(tmp_path)
    file = place.host("debian12") / "record.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"name": "debian12", "kee')
    assert place.records() == {}
