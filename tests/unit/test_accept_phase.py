"""The phase accept of site.yml: from Ansible's way to a host to the command's words."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import yaml

from sightline.layout import CHECKOUT

_SPEC = importlib.util.spec_from_file_location("accept_action", CHECKOUT / "plugins/action/accept.py")
assert _SPEC is not None
assert _SPEC.loader is not None
action = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(action)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({"host": "gpu1"}, ["gpu1"]),
        ({"host": "203.0.113.7", "port": 41022, "user": "root"}, ["-p", "41022", "root@203.0.113.7"]),
        ({"host": "2001:db8::1", "key": "/k"}, ["-i", "/k", "[2001:db8::1]"]),
        (
            {"host": "b", "ssh_args": "-o UserKnownHostsFile='/a b' -C -J me@jump -F /c"},
            ["-o", "UserKnownHostsFile=/a b", "-o", "ProxyJump=me@jump", "-F", "/c", "b"],
        ),
        ({"host": "b", "port": None, "user": None, "key": None, "ssh_args": ""}, ["b"]),
    ],
)
def test_what_ansible_knows_of_the_way(way: dict[str, Any], words: list[str]) -> None:
    assert action.ssh_words(way) == words


REPORT = """box: RETURN
  for canary
Reasons:
  GPU PCIe: x4 of x16
      why: models load slowly
      do:  return the box
  line: 1.00 MB/s

Not told:
  clock: not told
"""


@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        (REPORT, ["GPU PCIe: x4 of x16", "line: 1.00 MB/s"]),
        (REPORT[REPORT.index("Not told:") :], ["clock: not told"]),
        (
            "accept: connecting to x\naccept: could not tell: nobody there; look",
            ["could not tell: nobody there; look"],
        ),
        ("", []),
    ],
)
def test_what_the_failed_task_says(said: str, reasons: list[str]) -> None:
    assert action.reasons(said.splitlines()) == reasons


def test_a_run_that_does_not_ask_for_it_does_not_look() -> None:
    plays = yaml.safe_load((CHECKOUT / "site.yml").read_text())
    looks = [play for play in plays if play["ansible.builtin.import_playbook"].endswith("/accept.yml")]
    assert [play["tags"] for play in looks] == [["never"]]
