"""Ports told apart by real sockets, and a package index that does or does not answer."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sightline_host.network import free_port_near, read_index, read_port

from tests.stand_ins.package_index import PackageIndex

LISTEN = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family)
server.bind((sys.argv[1], 0))
server.listen()
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""
Spawn = Callable[..., "Listener"]


class Listener:
    """A process that listens: its number and its port."""

    pid: int
    first_line: str


@pytest.fixture
def unused() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def test_a_port_that_nobody_listens_on_is_free(unused: int) -> None:
    assert read_port(unused, "/opt/sightline") == {"number": unused, "state": "free", "holder": None}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_of_a_stranger_is_taken(spawn: Spawn, address: str) -> None:
    listener = spawn(LISTEN, address)
    port = int(listener.first_line)

    found = read_port(port, "/opt/sightline")

    assert found["state"] == "taken"
    assert found["holder"] == f"{os.path.basename(sys.executable)} (pid {listener.pid})"


def test_a_port_of_a_program_under_the_root_is_ours(spawn: Spawn) -> None:
    listener = spawn(LISTEN, "127.0.0.1", "--model", "/opt/sightline/models/canary")
    port = int(listener.first_line)

    assert read_port(port, "/opt/sightline")["state"] == "ours"
    assert read_port(port, "/opt/sightline/")["state"] == "ours"
    assert read_port(port, "/opt/sight")["state"] == "taken", (
        "a folder whose name begins alike is another one"
    )
    assert read_port(port, "/opt/elsewhere")["state"] == "taken"


def test_a_connection_from_a_port_is_no_listener(spawn: Spawn) -> None:
    port = int(spawn(LISTEN, "127.0.0.1").first_line)
    with socket.create_connection(("127.0.0.1", port)) as client:
        number = client.getsockname()[1]
        assert read_port(number, "/opt/sightline")["state"] == "free"


def proc_with(folder: Path, *rows: str) -> str:
    """A /proc in which these sockets exist and no process can be looked into, as without root."""
    (folder / "net").mkdir(parents=True)
    header = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    )
    (folder / "net/tcp").write_text(header + "".join(f"{row}\n" for row in rows))
    (folder / "1").mkdir()
    return str(folder)


def test_a_holder_of_another_user_has_no_name(tmp_path: Path) -> None:
    row = "   0: 0100007F:21C2 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 4711 1 0 100 0"
    found = read_port(0x21C2, "/opt/sightline", proc_with(tmp_path / "proc", row))
    assert found == {"number": 0x21C2, "state": "taken", "holder": None}


def test_a_holder_that_ends_meanwhile_is_no_error(tmp_path: Path) -> None:
    row = "   0: 0100007F:21C2 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 4711 1 0 100 0"
    proc = proc_with(tmp_path / "proc", row)
    (tmp_path / "proc/1/fd").mkdir()
    (tmp_path / "proc/1/fd/3").symlink_to("socket:[4711]")

    assert read_port(0x21C2, "/opt/sightline", proc)["state"] == "taken"


def test_the_next_free_port_is_one_that_nobody_listens_on(spawn: Spawn) -> None:
    port = int(spawn(LISTEN, "127.0.0.1").first_line)

    found = free_port_near(port - 1)

    assert found is not None
    assert port < found <= port + 19
    assert read_port(found, "/opt/sightline")["state"] == "free"


def test_there_is_no_port_above_the_last(spawn: Spawn) -> None:
    assert free_port_near(65535) is None
    assert free_port_near(65530) in (*range(65531, 65536), None)


def test_an_index_that_answers(index: PackageIndex) -> None:
    index.add("pip", "26.3")
    assert read_index(sys.executable, timeout=120) == {"reachable": True, "detail": None}


def test_an_index_that_does_not(index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    found = read_index(sys.executable, timeout=120)
    assert found["reachable"] is False
    assert "rror" in str(found["detail"])


def test_an_index_that_takes_the_connection_and_says_nothing(
    spawn: Spawn, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = spawn(LISTEN, "127.0.0.1").first_line
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    assert read_index(sys.executable, timeout=2) == {"reachable": False, "detail": "no answer within 2 s"}


def test_a_python_that_cannot_ask_is_not_an_index_that_is_down(tmp_path: Path) -> None:
    without_pip = tmp_path / "python"
    without_pip.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    without_pip.chmod(0o755)

    for interpreter in (without_pip, tmp_path / "missing"):
        found = read_index(str(interpreter))
        assert found["reachable"] is None
        assert found["detail"]
