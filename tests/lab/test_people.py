"""Hosts that let nobody in as root."""

from __future__ import annotations

import pytest

from tests.lab.host import Host


@pytest.mark.parametrize("name", ["noroot", "nosudo"])
def test_root_is_refused_and_a_person_is_let_in(name: str, request: pytest.FixtureRequest) -> None:
    host: Host = request.getfixturevalue(name)
    refused = host.run("true", "-o", "User=root")

    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr
    assert host.says("id -un") == "person"
    assert host.says("systemctl is-system-running --wait") == "running"


def test_sudo_makes_the_difference(noroot: Host, nosudo: Host) -> None:
    assert noroot.says("sudo -n id -u") == "0"
    assert nosudo.run("sudo -n id -u").returncode != 0
    assert nosudo.run("touch /etc/file").returncode != 0


def test_the_refusal_is_the_hosts_own(debian12: Host) -> None:
    """The same login is let in where root may: what refuses above is not a missing key."""
    assert debian12.run("true", "-o", "User=root").returncode == 0
