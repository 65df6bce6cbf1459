"""How to reach the hosts: known_hosts, a configuration for ssh, and the inventory for Ansible."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.commands import run
from tests.lab.kinds import KINDS
from tests.lab.network import Network
from tests.lab.place import Place

_INVENTORY = "# Written by scripts/lab: the hosts that run now. Give it to ansible-playbook with -i.\n"


def make_key(file: Path, comment: str) -> None:
    """An ed25519 key pair without a passphrase, unless it is there already."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file))


def write(network: Network) -> None:
    """Write the files anew for the hosts that are recorded; without any, take them away."""
    place = network.place
    records = list(place.records().values())
    known, blocks, hosts, safety = [], [], {}, _safety(place)
    for record in records:
        address, port = network.door(record, 22)
        kind = KINDS[record.kind]
        public = (place.host(record.name) / "host_key.pub").read_text().split()
        known.append(f"{address if port == 22 else f'[{address}]:{port}'} {public[0]} {public[1]}")
        blocks.append(f"Host {record.name}\n  HostName {address}\n  Port {port}\n  User {kind.user}\n")
        hosts[record.name] = {
            "ansible_host": address,
            "ansible_port": port,
            "ansible_user": kind.user,
            "ansible_ssh_private_key_file": str(place.key),
            "ansible_ssh_common_args": " ".join(f"-o {k}={v}" for k, v in safety.items()),
            "lab_kind": record.kind,
        } | ({"ansible_become": True} if kind.sudo else {})
    place.known_hosts.write_text("".join(f"{line}\n" for line in known))
    every = f"Host *\n  IdentityFile {place.key}\n" + "".join(f"  {k} {v}\n" for k, v in safety.items())
    place.ssh_config.write_text("\n".join([*blocks, every]))
    place.inventory.write_text(_INVENTORY + _yaml(hosts))


def remove(place: Place) -> None:
    for file in (place.known_hosts, place.ssh_config, place.inventory):
        file.unlink(missing_ok=True)


def _safety(place: Place) -> dict[str, str]:
    """Only the lab's key, only the host keys that the lab itself put into the hosts."""
    return {
        "UserKnownHostsFile": str(place.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }


def _yaml(hosts: dict[str, dict[str, object]]) -> str:
    lines = ["---", "sightline:", "  hosts:" + ("" if hosts else " {}")]
    for name, variables in hosts.items():
        lines.append(f"    {name}:")
        # A JSON scalar is a YAML scalar.
        lines += [f"      {key}: {json.dumps(value)}" for key, value in variables.items()]
    return "\n".join(lines) + "\n"
