"""A host behind ssh: host checks over the connection, the sight check through a tunnel; a real sshd on
loopback.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sightline.deployment import Connection
from sightline.prove import cli
from sightline.prove.errors import CouldNotTell
from sightline.prove.tunnel import is_needed, tunnel
from tests.prove.conftest import Serve
from tests.stand_ins.endpoint import KEY
from tests.stand_ins.host import StandInHost

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (package openssh-server)")


@dataclass
class Sshd:
    """A running sshd and the options to get in."""

    port: int
    key: Path
    options: str

    @property
    def connection(self) -> dict[str, object]:
        """As a deployment record has it."""
        return {
            "type": "ssh",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "private_key_file": str(self.key),
            "ssh_args": self.options,
        }


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """An sshd of the test's own, for this user, with keys made for the test."""
    assert SSHD is not None
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
        )
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nPermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    log = (folder / "log").open("w")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        known = f"-o UserKnownHostsFile={folder / 'known'} -o StrictHostKeyChecking=accept-new"
        yield Sshd(port, folder / "user_key", known)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@needs_sshd
def test_a_host_behind_ssh_is_proven(
    serve: Serve,
    sshd: Sshd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in = serve()
    (tmp_path / "host").mkdir()
    with StandInHost(tmp_path / "host", key=KEY).running() as host:
        host.write_record(base_url=stand_in.base_url, connection=sshd.connection)
        out = tmp_path / "out"
        arguments = ["--deployment", str(host.record_path), "--out", str(out), "--quick", "--seed", "3"]
        status = cli.main(arguments)
    report = json.loads((out / "report.json").read_text())
    assert status == 0, report["verdict"]
    assert {check["outcome"] for check in report["host_checks"]} == {"passed"}
    assert report["target"]["base_url"] == stand_in.base_url
    assert len(report["sight"]["questions"]) == 20


@needs_sshd
def test_a_tunnel_does_not_outlive_a_program_that_was_killed(sshd: Sshd) -> None:
    script = (
        "import time\nfrom sightline.prove.tunnel import Connection, tunnel\n"
        f"with tunnel(Connection(**{sshd.connection!r}), 'http://127.0.0.1:1/v1') as url:\n"
        "    print(url, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        port = int(program.stdout.readline().rpartition(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        program.kill()
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"ssh still listens on {port}")


@needs_sshd
def test_a_key_that_opens_nothing_is_no_verdict(sshd: Sshd, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True, timeout=30)
    connection = Connection(
        "ssh", "127.0.0.1", sshd.port, getpass.getuser(), str(other), ssh_args=sshd.options
    )
    with pytest.raises(CouldNotTell, match="Permission denied"), tunnel(connection, "http://127.0.0.1:1/v1"):
        pass


@needs_sshd
def test_a_box_that_shows_only_its_ssh_port(
    serve: Serve, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint's own address is the box's loopback; ssh's configuration names key and known hosts."""
    stand_in = serve()
    key = tmp_path / "api_key"
    key.write_text(KEY)
    key.chmod(0o600)
    _configure(sshd, tmp_path, monkeypatch, f"Host box\n  HostName 127.0.0.1\n  Port {sshd.port}\n")
    out = tmp_path / "out"
    words = ["--url", stand_in.base_url, "--key-file", str(key), "--out", str(out), "--quick", "--seed", "3"]
    assert cli.main(["--via", "box", *words]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["target"] == {
        "host": None, "base_url": stand_in.base_url, "model": report["target"]["model"], "engine": None,
        "release": None,
    }  # fmt: skip
    assert report["host_checks"] == []

    # The same with all of it in the words, and a port that leads nowhere.
    me = f"{getpass.getuser()}@127.0.0.1"
    assert cli.main(["--via", me, "-p", str(sshd.port), "-i", str(sshd.key), *words]) == 0
    assert cli.main(["--via", f"{me}:1", *words]) == 2


def _configure(sshd: Sshd, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """ssh reads the home of the account, not $HOME: a wrapper gives it a configuration of the test's own."""
    options = sshd.options.replace("-o ", "\n  ").replace("=", " ")
    config = folder / "ssh_config"
    config.write_text(f"{text}  IdentityFile {sshd.key}\nHost *{options}\n")
    wrapper = folder / "bin/ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--via", "a b"], "is no address"),
        (["--via", "box:1", "-p", "2"], "two ports are given"),
        (["--via", "box", "--host", "gpu1"], "a deployment knows its own way"),
        (["-p", "22"], "-p is for --via"),
        (["--via", "box", "-i", "/no/key"], "there is no key /no/key"),
        (["--via", "box", "--url", "http://10.0.0.1:1/v1"], "is not on the box's own loopback"),
        (["--via", "box", "--url", "https://127.0.0.1:1/v1"], "is not on the box's own loopback"),
    ],
)
def test_wrong_ways(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err


def test_nobody_at_the_other_end_is_no_verdict() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        connection = Connection("ssh", "127.0.0.1", free.getsockname()[1])
        with (
            pytest.raises(CouldNotTell, match="ssh does not get to"),
            tunnel(connection, "http://127.0.0.1:1/v1"),
        ):
            pass


@pytest.mark.parametrize(
    ("connection", "url", "needed"),
    [
        (Connection("local"), "http://127.0.0.1:1/v1", False),
        (Connection("ssh", "gpu"), "http://127.0.0.1:1/v1", True),
        (Connection("ssh", "gpu"), "http://[::1]:1/v1", True),
        (Connection("ssh", "gpu"), "http://gpu:1/v1", False),
    ],
)
def test_when_a_tunnel_is_needed(connection: Connection, url: str, needed: bool) -> None:
    assert is_needed(connection, url) is needed
