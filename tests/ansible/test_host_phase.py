"""The phase `host`: where the plan wants nothing of it the host is not asked at all, and else it is."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.clones import CHECKOUT, plain_environment

UNREACHABLE = 4
"""ansible-playbook's exit code where a host did not answer."""

NOTHING = {"doing": "none", "source": "", "version": "", "why": ""}
HOST_SIDE: dict[str, Any] = {
    "driver": NOTHING, "cuda": NOTHING, "cudnn": NOTHING, "container_toolkit": NOTHING, "floor": "",
    "kind": "open", "fabric_manager": False, "starts_driver": False, "installs": [],
}  # fmt: skip
PROBED: dict[str, Any] = {
    "uid": 0, "user": "root", "init": "systemd", "gpus": [], "host_sets": {}, "root": {"ours": True},
    "distribution": {"id": "debian", "version": "13"}, "python": [],
}  # fmt: skip


def run_phase(folder: Path, changes: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """playbooks/host.yml for a host behind a port at which nobody listens, with a plan of our making."""
    inventory = folder / "hosts.yml"
    at = {
        "ansible_host": "127.0.0.1",
        "ansible_port": 9,
        "ansible_ssh_retries": 0,
        "sightline_root": "/opt/s",
    }
    inventory.write_text(json.dumps({"sightline": {"hosts": {"nowhere": at}}}))
    side = copy.deepcopy(HOST_SIDE) | changes
    plan = {"host": side, "steps": {"root": "keep"}, "python": "/usr/bin/python3", "python_choice": {}}
    facts = folder / "facts.json"
    facts.write_text(json.dumps({"plan": plan, "probe_host": PROBED}))
    ended = subprocess.run(
        ["scripts/playbook", "playbooks/host.yml", "-i", str(inventory), "-e", f"@{facts}"],
        cwd=CHECKOUT, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120,
    )  # fmt: skip
    print(ended.stdout)
    return ended


def test_where_nothing_is_wanted_the_host_is_not_asked(tmp_path: Path) -> None:
    ended = run_phase(tmp_path, {})
    assert ended.returncode == 0
    assert "unreachable=0" in ended.stdout


@pytest.mark.parametrize(
    ("part", "source"),
    [("driver", "debian"), ("cuda", "nvidia"), ("container_toolkit", "nvidia")],
)
def test_what_is_to_be_installed_reaches_the_host(tmp_path: Path, part: str, source: str) -> None:
    """The check above can fail: with a wish it goes to the host, which is not there."""
    wanted = {"doing": "install", "source": source, "version": "12.4", "why": "a test"}
    ended = run_phase(tmp_path, {part: wanted, "installs": [part]})
    assert ended.returncode == UNREACHABLE
    assert "unreachable=1" in ended.stdout
