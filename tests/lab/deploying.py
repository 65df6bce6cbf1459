"""Playbooks run from a clone of this checkout on a host of the lab."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.ansible.clones import CHECKOUT, copy_checkout, plain_environment
from tests.lab.host import Host, Lab


@dataclass(frozen=True)
class Deployer:
    """A clone of this checkout, and the lab whose hosts it deploys to."""

    clone: Path
    lab: Lab

    @classmethod
    def into(cls, folder: Path, lab: Lab) -> Deployer:
        """A clone in `folder`, with this checkout's own environments."""
        clone = copy_checkout(folder)
        (clone / ".venv").symlink_to(CHECKOUT / ".venv")
        return cls(clone, lab)

    def play(
        self,
        host: Host,
        playbook: str,
        *words: str,
        settings: Mapping[str, object] | None = None,
        timeout: float = 3600,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook on the host; `settings` are given as -e. Its output is shown when a test fails."""
        command = ["scripts/playbook", playbook, "-i", str(self.lab.inventory), "--limit", host.name, *words]
        if settings:
            command += ["-e", json.dumps(dict(settings))]
        ended = subprocess.run(
            command, cwd=self.clone, env=plain_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=timeout,
        )  # fmt: skip
        print(f"$ {' '.join(command)}\n{ended.stdout}")
        return ended


def recap(output: str, host: Host) -> dict[str, int]:
    """The figures of Ansible's closing line for the host."""
    line = re.search(rf"^{re.escape(host.name)}\s*: (.*)$", output, flags=re.MULTILINE)
    assert line, output
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[1])}
