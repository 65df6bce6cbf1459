"""What reached a host, as the host's own sshd tells it.

A task of Ansible's that reaches a host has at least one session of its own there, so the sessions are the
most that the tasks can be. With `LogLevel VERBOSE` OpenSSH's sshd logs a line when a session starts
("Starting session: command for root from 10.77.0.1 port 51300 id 0") and one for each connection
("Connection from 10.77.0.1 port 51300 on 10.77.0.11 port 22").
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sightline.bench.errors import BenchError
from sightline.bench.provision.hosts import Hosts

_SESSION = re.compile(r"^Starting session: .* from \S+ port (\d+) id \d+", re.MULTILINE)
_CONNECTION = re.compile(r"^Connection from \S+ port (\d+) on ", re.MULTILINE)
_TALK = "printf 'LogLevel VERBOSE\\n' > /etc/ssh/sshd_config.d/bench.conf && systemctl reload ssh"
_PATIENCE = 20.0
_TAG = "sightline-bench"
# By the name that a message itself carries: of a process that has ended journald knows nothing else.
_JOURNAL = f"journalctl --sync && journalctl -o cat --no-pager -t sshd -t sshd-session -t {_TAG}"


@dataclass(frozen=True)
class Reached:
    """What reached one host: sessions started, connections made."""

    sessions: int
    connections: int


def make_talkative(hosts: Hosts) -> None:
    """Have every host's sshd log its sessions. Raises BenchError when a host refuses."""
    for name in hosts.names:
        hosts.ssh(name, _TALK)
    for name in hosts.names:
        # sshd starts itself anew on a reload, and meanwhile refuses.
        hosts.wait(name, _PATIENCE)


@contextmanager
def watching(hosts: Hosts, names: tuple[str, ...]) -> Iterator[dict[str, Reached]]:
    """While the block runs, what reaches these hosts is counted; the dictionary is filled when it ends."""
    mark = uuid.uuid4().hex
    seen: dict[str, Reached] = {}
    for name in names:
        hosts.ssh(name, f"logger -t {_TAG} {mark} begin")
    yield seen
    for name in names:
        # The closing mark's own session is in the log before it, and its port tells it from the others.
        log = hosts.ssh(name, f'logger -t {_TAG} {mark} end "$SSH_CONNECTION" && {_JOURNAL}')
        seen[name] = count(log, mark, name)


def count(log: str, mark: str, name: str) -> Reached:
    """Count what stands between a log's two marks. Raises BenchError when it cannot be told from the log."""
    found = re.search(rf"^{mark} begin$(.*?)^{mark} end \S+ (\d+) ", log, re.MULTILINE | re.DOTALL)
    if not found:
        raise BenchError(f"the log of {name} does not hold both marks: what reached it cannot be counted")
    between, own = found[1], found[2]
    sessions, connections = _SESSION.findall(between), _CONNECTION.findall(between)
    if own not in sessions or own not in connections:
        raise BenchError(f"sshd of {name} does not log its sessions: what reached it cannot be counted")
    return Reached(
        sessions=sum(port != own for port in sessions), connections=sum(port != own for port in connections)
    )
