"""What a deployed server holds in memory: its process and those that it started, as the kernel counts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from sightline.deployment import Deployment, DeploymentError, load

from .on_host import said


def resident_memory(record: Path | None) -> int | None:
    """Resident bytes of the service's processes right now; None where nobody says. Raises nothing.

    Pages that several of them share are counted for each.
    """
    try:
        deployment = load(record) if record else None
    except DeploymentError:
        return None
    if deployment is None:
        return None
    script = f"pid=$({_pid(deployment)}); echo main $pid; ps -eo pid=,ppid=,rss="
    return sum_of_tree(said(deployment.connection, script) or "")


def sum_of_tree(told: str) -> int | None:
    """Sum the resident sizes (kB in `ps`) of process "main PID" and of all below it, in bytes."""
    head, _, rest = told.partition("\n")
    main = re.fullmatch(r"main ([1-9][0-9]*)", head.strip())
    rows = [tuple(map(int, line.split())) for line in rest.splitlines() if re.fullmatch(r"[\d ]+", line)]
    sizes = {row[0]: row[2] for row in rows if len(row) == 3}
    if main is None or int(main[1]) not in sizes:
        return None
    tree: set[int] = set()
    found = {int(main[1])}
    while found - tree:
        tree |= found
        found = {row[0] for row in rows if len(row) == 3 and row[1] in tree}
    return 1024 * sum(sizes[pid] for pid in tree)


def _pid(deployment: Deployment) -> str:
    service = deployment.service
    if deployment.init == "systemd":
        return f"systemctl show --property MainPID --value {shlex.quote(service.name)}"
    return shlex.join([*(service.supervisorctl or ("false",)), "pid", service.name])
