"""A host with no way out but the controller's ssh: deployed to from a bundle and proven, or refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.bundle.debs import distribution_here
from tests.ansible.clones import plain_environment
from tests.lab import links
from tests.lab.deploying import Deployer, recap
from tests.lab.host import Host, Lab
from tests.lab.test_model import FILES, digest, holds, write_entry
from tests.stand_ins.hub import Hub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        distribution_here() != ("debian", "12"), reason="packages of Debian 12 are packed on a Debian 12"
    ),
]


@pytest.fixture(scope="module")
def deployer(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    made = Deployer.into(tmp_path_factory.mktemp("clone"), lab)
    write_entry(made.clone, "made-up", {path: (len(data), digest(data)) for path, data in FILES.items()})
    return made


@pytest.fixture(scope="module")
def bundle(deployer: Deployer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with the canary's release and a model of a hub, as a folder; beside it the tar."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    with Hub(FILES, trusted=False) as hub:
        pack(deployer, folder, "--model", "canary", "--model", "made-up", "--source", hub.url, "--tar")
    return folder


def pack(deployer: Deployer, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        ["scripts/bundle", str(folder), *words], cwd=deployer.clone, env=plain_environment(),
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    print(ended.stdout, ended.stderr)
    return ended


def cut_off(host: Host) -> None:
    """Take every route away but the one to the lab's own network, and the packages that the lab hands on."""
    links.ip("route", "del", "default", inside=host.record.keeper.pid)
    host.says("rm -f /etc/pip.conf && mkdir -p ~/.config/pip && touch ~/.config/pip/pip.conf")
    assert "default" not in host.says("ip route")
    assert host.run("python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)'").returncode


def test_a_bare_host_without_a_network_is_deployed_to_and_proven(
    deployer: Deployer, bundle: Path, fresh_host: Callable[..., Host]
) -> None:
    host = fresh_host("debian12")
    cut_off(host)
    # What asks its mirrors fails: otherwise a run with the bundle shows nothing.
    assert "Some index files failed to download" in host.run("apt-get update 2>&1").stdout
    told = {"sightline_bundle": f"{bundle}.tar"}
    lists = host.says("ls -R /etc/apt /var/lib/apt/lists")
    ended = deployer.play(host, "site.yml", settings=told)
    assert ended.returncode == 0
    assert "Proven: it sees" in ended.stdout
    assert host.says("ls -R /etc/apt /var/lib/apt/lists") == lists, "the host's own sources are as they were"
    assert host.run("ls -d /opt/sightline/bundle /var/lib/sightline/folder*").stdout == ""
    again = deployer.play(host, "site.yml", settings=told)
    assert recap(again.stdout, host)["changed"] == 0

    # A model of a hub goes straight to its place, and is verified there.
    model = {"sightline_bundle": str(bundle), "sightline_model": "made-up"}
    staged = deployer.play(host, "site.yml", "--tags", "fetch", settings=model)
    assert staged.returncode == 0
    assert holds(host, {path: digest(data) for path, data in FILES.items()})


def test_what_a_bundle_lacks_is_told_before_anything_is_changed(
    deployer: Deployer, bundle: Path, fresh_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = fresh_host("debian13")
    cut_off(host)
    told = {"sightline_bundle": str(bundle), "sightline_model": "qwen2.5-vl-7b"}
    ended = deployer.play(host, "site.yml", settings=told)
    assert ended.returncode != 0
    assert "the bundle has no qwen2.5-vl-7b" in ended.stdout
    assert "the bundle has no wheels of pip" in ended.stdout
    assert "for Python 3.13" in ended.stdout
    assert "the bundle has no packages of debian 13" in ended.stdout
    assert host.run("ls /opt/sightline").returncode != 0

    spoilt = tmp_path / "spoilt"
    shutil.copytree(bundle, spoilt)
    wheel = next(spoilt.glob("wheels/supervisor-*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"!")
    check = pack(deployer, spoilt, "--check", "--json")
    assert (check.returncode, json.loads(check.stdout)["wrong"]) == (1, [f"wheels/{wheel.name}"])


def test_a_hub_model_is_packed_only_once_it_is_whole(deployer: Deployer, tmp_path: Path) -> None:
    with Hub(FILES, trusted=False) as hub:
        hub.faults.wrong = {"model-00002.bin"}
        words = ("--model", "made-up", "--source", hub.url, "--no-packages")
        ended = pack(deployer, tmp_path / "bundle", *words)
        assert ended.returncode == 2
        assert "made-up did not come" in ended.stderr
        assert (
            "is no bundle, or its making was cut off" in pack(deployer, tmp_path / "bundle", "--check").stderr
        )
        hub.faults.wrong = set()
        assert pack(deployer, tmp_path / "bundle", *words).returncode == 0
