"""The line between nodes, on addresses of loopback, and what stands in its way."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from sightline_host import node_link
from sightline_host.node_link import LinkProblem, as_head, as_other

HEAD, OTHER = "127.0.0.1", "127.0.0.2"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_link, "SECONDS", 0.1)


@pytest.fixture
def port() -> int:
    with socket.create_server((HEAD, 0)) as trial:
        return int(trial.getsockname()[1])


def together(*jobs: Any) -> list[Any]:
    """What each of them gave or raised, all running at once."""
    results: list[Any] = [None] * len(jobs)

    def run(place: int) -> None:
        try:
            results[place] = jobs[place]()
        except LinkProblem as problem:
            results[place] = problem

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return results


def test_every_line_is_measured_both_ways(port: int) -> None:
    said: list[str] = []
    lines, one, two = together(
        lambda: as_head(HEAD, port, 3, "group", 20, said.append),
        lambda: as_other(1, OTHER, HEAD, port, "group", 20),
        lambda: as_other(2, "127.0.0.3", HEAD, port, "group", 20),
    )
    assert (one, two) == (None, None)
    assert sorted(line.rank for line in lines) == [1, 2]
    assert all(line.to_head > 1e6 and line.from_head > 1e6 and 0 < line.round_trip < 1000 for line in lines)
    assert len(said) == 2


def test_a_node_that_never_comes_is_named_with_the_likely_reason(port: int) -> None:
    (problem,) = together(lambda: as_head(HEAD, port, 3, "group", 0.5, print))
    assert isinstance(problem, LinkProblem)
    assert "no node of rank 1, 2" in str(problem)
    assert "container behind NAT" in str(problem)


def test_a_head_that_is_not_there_is_told(port: int) -> None:
    (problem,) = together(lambda: as_other(1, OTHER, HEAD, port, "group", 0.5))
    assert f"{OTHER} does not reach the head at {HEAD} port {port}" in str(problem)


def test_another_deployment_is_not_taken_for_ours(port: int) -> None:
    head, other = together(
        lambda: as_head(HEAD, port, 2, "ours", 1, print),
        lambda: as_other(1, OTHER, HEAD, port, "theirs", 5),
    )
    assert "no node of rank 1" in str(head)
    assert "another deployment" in str(other)


def test_a_host_to_which_only_mapped_ports_lead_is_found_out(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back goes to a port of the node's own choosing: here nobody answers there."""
    real = socket.create_connection

    def mapped(address: tuple[str, int], *words: Any, **named: Any) -> socket.socket:
        if address[1] != port:
            raise TimeoutError("timed out")
        return real(address, *words, **named)

    monkeypatch.setattr(socket, "create_connection", mapped)
    head, other = together(
        lambda: as_head(HEAD, port, 2, "group", 3, print),
        lambda: as_other(1, OTHER, HEAD, port, "group", 1),
    )
    assert "no node of rank 1" in str(head)
    assert "it did not come back to" in str(other)


def test_an_address_that_is_not_this_hosts_is_told(port: int) -> None:
    head, other = together(
        lambda: as_head("198.51.100.1", port, 2, "group", 1, print),
        lambda: as_other(1, "198.51.100.2", HEAD, port, "group", 1),
    )
    assert "the head cannot listen on 198.51.100.1" in str(head)
    assert "this node cannot listen on 198.51.100.2" in str(other)
