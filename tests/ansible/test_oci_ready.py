"""oci_ready in a playbook, as a gateway's plan runs it: what it hands over, and how it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.ansible.clones import CHECKOUT, plain_environment
from tests.stand_ins.oci_identity import COMPARTMENT, REGION, ApiKey

PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - oci_ready:
        config_file: "{{ config }}"
        region: ""
        compartment: "{{ compartment }}"
        check: false
      register: ready
    - copy:
        content: "{{ ready | to_json }}"
        dest: "{{ handed }}"
        mode: "600"
"""


def play(tmp_path: Path, config: Path, compartment: str = COMPARTMENT) -> subprocess.CompletedProcess[str]:
    (tmp_path / "play.yml").write_text(PLAY)
    told = {"config": str(config), "compartment": compartment, "handed": str(tmp_path / "handed")}
    return subprocess.run(
        [
            str(CHECKOUT / "scripts/playbook"),
            str(tmp_path / "play.yml"),
            "-i",
            "localhost,",
            "-e",
            json.dumps(told),
        ],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_settings_without_the_key_itself(tmp_path: Path) -> None:
    api_key = ApiKey()
    ended = play(tmp_path, api_key.write_config(tmp_path / "oci"))
    assert ended.returncode == 0, ended.stdout
    handed = json.loads((tmp_path / "handed").read_text())
    assert handed["changed"] is False
    assert handed["key_file"] == str(tmp_path / "oci/key.pem")
    assert (handed["settings"]["region"], handed["settings"]["compartment"]) == (REGION, COMPARTMENT)
    assert handed["settings"]["fingerprint"] == api_key.fingerprint
    assert "OCI: pictures are PNG or JPEG data URLs of up to 5 MB" in ended.stdout
    assert "PRIVATE KEY" not in json.dumps(handed) + ended.stdout


def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    ended = play(tmp_path, tmp_path / "none")
    assert ended.returncode == 2
    said = ended.stdout + ended.stderr
    assert "nothing was changed, because Oracle's service cannot be used" in said
    assert f"there is no {tmp_path}/none" in said
    assert "Traceback" not in said
