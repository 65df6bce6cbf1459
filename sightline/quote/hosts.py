"""Plan the hosts of an inventory: the plan phase is run and its answers are shown; nothing is changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sightline.quote.handed import VARIABLE, read_handed

CHECKOUT = Path(__file__).resolve().parents[2]
ALL_WELL, REFUSED, NOT_READ = 0, 1, 2


def plan_hosts(inventory: str, words: Sequence[str], as_json: bool) -> int:
    """Run the plan phase on the hosts of `inventory` and print what it says.

    `words` are further words for ansible-playbook. Returns the exit status: 0 nothing stands in the way
    anywhere, 1 some host is refused, 2 a host could not be read, or none was found.
    """
    print("asking the hosts; nothing is changed there", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sightline-plan-") as folder:
        phases = Path(folder) / "phases"
        handed = Path(folder) / "hosts"
        handed.mkdir()
        command = [str(CHECKOUT / "scripts/playbook"), str(CHECKOUT / "playbooks/plan.yml"), "-i", inventory]
        ended = subprocess.run(
            [*command, *words],
            env=os.environ | {VARIABLE: str(handed), "SIGHTLINE_PHASES_FILE": str(phases)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found = read_handed(handed)
        tried = json.loads(phases.read_text())["hosts"] if phases.is_file() else {}
    lost = {host: _why(ended.stdout, host) for host in sorted(tried) if host not in found}
    if not found and not lost:
        print(ended.stdout.strip()[-2000:], file=sys.stderr)
        print(f"scripts/plan: no host of {inventory} could be asked (see above)", file=sys.stderr)
        return NOT_READ
    if as_json:
        print(json.dumps({"schema": 1, "hosts": found, "not_read": lost}, indent=2))
    else:
        print(
            "\n\n".join(
                [*map(_block, found.values()), *(f"{host}: NOT READ\n  {lost[host]}" for host in lost)]
            )
        )
    if lost:
        return NOT_READ
    return ALL_WELL if all(quote["plan"]["ok"] for quote in found.values()) else REFUSED


def _block(quote: dict[str, Any]) -> str:
    """One host's plan under its verdict."""
    plan = quote["plan"]
    verdict = "REFUSED" if not plan["ok"] else "NOTHING TO DO" if not plan["changes"] else "CAN BE DEPLOYED"
    return "\n".join([f"{quote['host']}: {verdict}", *(f"  {line}".rstrip() for line in quote["text"])])


def _why(said: str, host: str) -> str:
    """What ansible-playbook said of a host that it could not read."""
    found = re.search(rf"^fatal: \[{re.escape(host)}\]: \w+! => *\n((?:[ \t].*\n?)+)", said, re.MULTILINE)
    try:
        told = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        told = None
    message = told.get("msg") if isinstance(told, dict) else None
    text = " ".join(str(message).split()) if message else "ansible-playbook did not say why; run it with -v"
    return f"{text}\n  do: check the inventory's address, port, user and key: ansible -m ping"
