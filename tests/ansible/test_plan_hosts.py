"""scripts/plan on the hosts of an inventory: the real probe and the real plan, and nothing is changed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.ansible.clones import CHECKOUT, free_port, plain_environment

INVENTORY = """\
sightline:
  hosts:
    here:
      ansible_connection: local
      ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
      sightline_root: {root}
      sightline_port: {port}
      sightline_service_manager: supervisor
      sightline_price_per_hour: 0.3
    gone:
      ansible_host: 127.0.0.1
      ansible_port: 9
"""


def plan(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(INVENTORY.format(root=tmp_path / "root", port=free_port()))
    ended = subprocess.run(
        [str(CHECKOUT / "scripts/plan"), "-i", "hosts.yml", *words],
        cwd=tmp_path,
        env=plain_environment() | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    print(ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not (tmp_path / "root").exists(), "planning changed something"
    return ended


def test_a_host_that_can_be_deployed_with_minutes_and_price(tmp_path: Path) -> None:
    ended = plan(tmp_path, "--limit", "here", "--line", "1gbit")
    assert ended.returncode == 0
    for told in (
        "here: CAN BE DEPLOYED",
        "there now:",
        "to fetch:",
        "time to the first answer",
        "cost to the first",
    ):
        assert told in ended.stdout


def test_a_host_that_cannot_be_read_is_told_beside_the_others(tmp_path: Path) -> None:
    ended = plan(tmp_path, "--json", "--slots", "2")
    found = json.loads(ended.stdout)
    assert ended.returncode == 2
    assert list(found["hosts"]) == ["here"]
    assert found["hosts"]["here"]["plan"]["ok"] is True
    assert "Connection refused" in found["not_read"]["gone"]


def test_a_model_that_cannot_be_deployed(tmp_path: Path) -> None:
    ended = plan(tmp_path, "--limit", "here", "--model", "phi-3-vision-128k")
    assert ended.returncode == 1
    assert "here: REFUSED" in ended.stdout
    assert "do:" in ended.stdout


def test_a_gpu_that_is_too_small_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    """From nvidia-smi (a stand-in that shows a 4090) through probe and plan to the proposal."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nvidia-smi").symlink_to(CHECKOUT / "tests/stand_ins/nvidia-smi")
    ended = plan(
        tmp_path,
        *("--limit", "here", "--model", "llama-3.2-90b-vision-bnb-4bit", "--release", "seed-cu124"),
        *("--context", "8192", "--pictures", "4"),
        PATH=f"{programs}:{os.environ['PATH']}",
        STAND_IN_RECORDING=str(CHECKOUT / "tests/recordings/nvidia-smi/rtx-4090.xml"),
    )
    assert ended.returncode == 1
    assert "llama-3.2-90b-vision-bnb-4bit needs 64.2 GB; a GPU has 25.4 GB for it" in ended.stdout
    assert "a host with one H100 80 GB SXM or another model" in ended.stdout


def test_an_inventory_that_is_not_there(tmp_path: Path) -> None:
    ended = plan(tmp_path, "--limit", "nobody")
    assert ended.returncode == 2
    assert "no host of hosts.yml could be asked" in ended.stderr
