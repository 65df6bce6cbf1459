"""Addresses of boxes, and host keys: what is known is checked, what is new is kept only when asked."""

from __future__ import annotations

import base64
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import fabric
import paramiko
import pytest

from sightline.accept.address import Way, read_address
from sightline.accept.errors import NoAnswer
from sightline.accept.way import _prepare, connect


@pytest.mark.parametrize(
    ("text", "port", "way"),
    [
        ("box", None, Way("box")),
        ("root@203.0.113.7", None, Way("203.0.113.7", "root")),
        ("root@203.0.113.7:41022", None, Way("203.0.113.7", "root", 41022)),
        ("root@203.0.113.7", 41022, Way("203.0.113.7", "root", 41022)),
        ("root@host:22", 22, Way("host", "root", 22)),
        ("me@[2001:db8::1]:2222", None, Way("2001:db8::1", "me", 2222)),
    ],
)
def test_addresses(text: str, port: int | None, way: Way) -> None:
    assert read_address(text, port) == way


@pytest.mark.parametrize(
    "text", ["", "a b", "me@", "@host", "a@b@c", "-oX", "host:x", "host:22:33", "2001:db8::1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        read_address(text)


@pytest.mark.parametrize("port", [0, 65536])
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(ValueError, match=f"{port} is no port"):
        read_address(f"host:{port}")


def test_how_it_is_named() -> None:
    assert str(Way("host", "me", 22)) == "me@host:22"
    assert str(Way("host")) == "host"


KeyLine = Callable[[str], str]


@pytest.fixture
def key_of(tmp_path: Path) -> KeyLine:
    """A public host key, "ssh-ed25519 AAAA...", made for the name given."""

    def make(name: str) -> str:
        file = tmp_path / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True, timeout=30
        )
        return " ".join(file.with_suffix(".pub").read_text().split()[:2])

    return make


def configured(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "ssh_config"
    file.write_text(text)
    return file


def policy_meets(connection: fabric.Connection, name: str, key: str) -> None:
    """Show the connection's client a key that it does not know, as paramiko does while it connects."""
    shown = paramiko.Ed25519Key(data=base64.b64decode(key.split()[1]))
    connection.client._policy.missing_host_key(connection.client, name, shown)


def test_an_unknown_box_is_refused_with_its_fingerprint(tmp_path: Path, key_of: KeyLine) -> None:
    config = configured(tmp_path, f"Host *\n  UserKnownHostsFile {tmp_path}/known\n")
    connection = _prepare(Way("box", config=config), None)
    with pytest.raises(
        NoAnswer, match=r"host key of \[box\]:41022 is not known \(ssh-ed25519 SHA256:"
    ) as refused:
        policy_meets(connection, "[box]:41022", key_of("new"))
    assert "--accept-new" in refused.value.remedy
    assert not (tmp_path / "known").exists()


@pytest.mark.parametrize(("asked", "configured_as"), [(True, "ask"), (False, "accept-new"), (False, "no")])
def test_a_new_key_is_kept_where_ssh_would_keep_it(
    tmp_path: Path, key_of: KeyLine, asked: bool, configured_as: str
) -> None:
    known, key = tmp_path / "ssh" / "known", key_of("new")
    known.parent.mkdir()
    known.write_text("# a comment of the person's\nother ssh-rsa AAAA")
    text = f"Host *\n  UserKnownHostsFile {known}\n  StrictHostKeyChecking {configured_as}\n"
    connection = _prepare(Way("box", config=configured(tmp_path, text), accept_new=asked), None)
    policy_meets(connection, "[box]:41022", key)
    assert known.read_text() == f"# a comment of the person's\nother ssh-rsa AAAA\n[box]:41022 {key}\n"


def test_every_jump_host_is_checked_too_and_visited_in_sshs_order(tmp_path: Path) -> None:
    """ssh_config(5), ProxyJump: several are visited one after the other, the first one first."""
    text = f"Host inner\n  ProxyJump me@first,me@second:2222\nHost *\n  UserKnownHostsFile {tmp_path}/known\n"
    connection = _prepare(Way("inner", config=configured(tmp_path, text)), None)
    hop, hops = connection, []
    while hop:
        hops.append((hop.host, type(hop.client._policy).__name__))
        hop = hop.gateway
    assert hops == [("inner", "_OnlyKnown"), ("second", "_OnlyKnown"), ("first", "_OnlyKnown")]


def test_options_outrank_the_configuration(tmp_path: Path) -> None:
    text = f"Host box\n  Port 1\n  User other\nHost *\n  UserKnownHostsFile {tmp_path}/known\n"
    options = (("Port", "2"), ("StrictHostKeyChecking", "accept-new"))
    connection = _prepare(Way("box", config=configured(tmp_path, text), options=options), None)
    assert (connection.port, connection.user) == (2, "other")
    assert type(connection.client._policy).__name__ == "_AcceptNew"


def test_only_the_named_keys_where_the_configuration_says_so(tmp_path: Path) -> None:
    text = "Host *\n  IdentitiesOnly yes\n  IdentityFile /k/one\n"
    words = _prepare(Way("box", config=configured(tmp_path, text)), None).connect_kwargs
    assert (words["allow_agent"], words["look_for_keys"], words["key_filename"]) == (False, False, ["/k/one"])


@pytest.mark.parametrize("way", [Way("h", config=Path("/no/config")), Way("h", key=Path("/no/key"))])
def test_files_that_are_not_there(way: Way) -> None:
    with pytest.raises(NoAnswer, match="there is no"):
        connect(way)


def test_nobody_at_the_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(
            NoAnswer, match=r"ssh does not get to me@127\.0\.0\.1:\d+: Unable to connect"
        ) as refused:
            connect(Way("127.0.0.1", "me", free.getsockname()[1], config=None))
    assert "check address and port" in refused.value.remedy


def test_something_that_is_no_sshd() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.settimeout(20)

        def answer() -> None:
            peer, _ = other.accept()
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(NoAnswer, match="ssh does not get to"):
            connect(Way("127.0.0.1", "me", other.getsockname()[1]))
