"""Counting what reached a host from its sshd's log. The log's lines are OpenSSH 9.2's, in short."""

from __future__ import annotations

import pytest

from sightline.bench.errors import BenchError
from sightline.bench.provision.witness import Reached, count

MARK = "sightline-bench-00ff"


def _connection(port: int, sessions: int) -> str:
    """What sshd logs of one connection with that many sessions, one after the other."""
    lines = [
        f'Connection from 10.77.2.1 port {port} on 10.77.2.11 port 22 rdomain ""',
        f"Accepted publickey for root from 10.77.2.1 port {port} ssh2: ED25519 SHA256:AAAA",
        "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
    ]
    for _ in range(sessions):
        lines += [
            f"Starting session: command for root from 10.77.2.1 port {port} id 0",
            f"Close session: user root from 10.77.2.1 port {port} id 0",
        ]
    return "\n".join(lines) + "\n"


BEGIN = _connection(40001, 1) + f"{MARK} begin\nDisconnected from user root 10.77.2.1 port 40001\n"
END = _connection(40009, 1) + f"{MARK} end 10.77.2.1 40009 10.77.2.11 22\n"


def test_nothing_between_the_marks_is_nothing() -> None:
    assert count(BEGIN + END, MARK, "a") == Reached(sessions=0, connections=0)


def test_sessions_and_connections_between_the_marks_are_counted() -> None:
    # Two over one connection that is kept open, one over another, and a tunnel, which has no session.
    between = _connection(40002, 2) + _connection(40003, 1) + _connection(40004, 0)

    assert count(BEGIN + between + END, MARK, "a") == Reached(sessions=3, connections=3)


def test_a_file_transfer_is_a_session() -> None:
    between = "Starting session: subsystem 'sftp' for root from 10.77.2.1 port 40002 id 1\n"

    assert count(BEGIN + between + END, MARK, "a").sessions == 1


def test_what_came_before_and_after_does_not_count() -> None:
    log = _connection(39000, 5) + BEGIN + _connection(40002, 1) + END + _connection(41000, 7)

    assert count(log, MARK, "a") == Reached(sessions=1, connections=1)


@pytest.mark.parametrize(
    "log",
    [
        pytest.param("", id="empty"),
        pytest.param(BEGIN, id="no end"),
        pytest.param(END, id="no begin"),
        pytest.param(BEGIN.replace(MARK, "other") + END, id="another run's begin"),
    ],
)
def test_a_log_without_both_marks_is_refused(log: str) -> None:
    with pytest.raises(BenchError, match="the log of gpu1 does not hold both marks"):
        count(log, MARK, "gpu1")


def test_an_sshd_that_logs_no_sessions_is_not_taken_for_silence() -> None:
    # At LogLevel INFO neither line is written; counting would say that nothing reached the host.
    quiet = "\n".join(
        line
        for line in (BEGIN + _connection(40002, 3) + END).splitlines()
        if not line.startswith(("Start", "Conn"))
    )

    with pytest.raises(BenchError, match="sshd of gpu1 does not log its sessions"):
        count(quiet + "\n", MARK, "gpu1")
