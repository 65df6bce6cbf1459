"""Playbooks run from a clone of this checkout on a host of the lab."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
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

    def command(self, hosts: Sequence[Host], playbook: str, *words: str) -> list[str]:
        """The command that runs a playbook on the hosts, in the folder `clone`."""
        inventories = ["-i", str(self.lab.inventory)]
        if self.settings_of_hosts.is_file():
            inventories += ["-i", str(self.settings_of_hosts)]
        limit = ",".join(host.name for host in hosts)
        return ["scripts/playbook", playbook, *inventories, "--limit", limit, *words]

    @property
    def settings_of_hosts(self) -> Path:
        """A second inventory, with settings of single hosts."""
        return self.clone / "hosts.json"

    def set_for(self, settings: Mapping[str, Mapping[str, object]]) -> None:
        """Give hosts settings of their own: {host: {name: value}}."""
        hosts = {name: dict(values) for name, values in settings.items()}
        self.settings_of_hosts.write_text(json.dumps({"sightline": {"hosts": hosts}}))

    def play(
        self,
        hosts: Host | Sequence[Host],
        playbook: str,
        *words: str,
        settings: Mapping[str, object] | None = None,
        timeout: float = 3600,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook on hosts; `settings` are given as -e. Its output is shown when a test fails."""
        command = self.command([hosts] if isinstance(hosts, Host) else hosts, playbook, *words)
        if settings:
            command += ["-e", json.dumps(dict(settings))]
        ended = subprocess.run(
            command, cwd=self.clone, env=plain_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=timeout,
        )  # fmt: skip
        print(f"$ {' '.join(command)}\n{ended.stdout}")
        return ended


def copy_in(host: Host, what: Path, to: str) -> None:
    """Copy a file or folder of this machine to the host."""
    words = ["scp", "-q", "-r", "-F", str(host.place.ssh_config), str(what), f"{host.name}:{to}"]
    subprocess.run(words, check=True, timeout=120)


def recap(output: str, host: Host) -> dict[str, int]:
    """The figures of Ansible's closing line for the host."""
    line = re.search(rf"^{re.escape(host.name)}\s*: (.*)$", output, flags=re.MULTILINE)
    assert line, output
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[1])}
