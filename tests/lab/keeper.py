"""The process that a host lives under: mounts its tree, runs the container, starts that again on a reboot.

It has a mount and a network namespace of its own (lab.py starts it so): the kernel takes mounts and network
away with the last process. Handshake: it says "prepared" when the tree is ready, and starts the container
when told "go", once the cable is laid. SIGTERM shuts the host down, SIGHUP restarts it.

    python -m tests.lab.keeper PLAN.json
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from tests.lab import cgroups
from tests.lab.commands import run
from tests.lab.furnish import furnish
from tests.lab.plan import KeeperPlan
from tests.lab.problems import LabError

# systemd-nspawn's way of saying that the host asked for a reboot (its man page, "Exit status").
_REBOOT = 133


def mount_tree(plan: KeeperPlan) -> None:
    """The host's root: an overlay over the base tree, its changes in memory or on disk."""
    # systemd-nspawn writes locks and sockets below /run; here they go with this process.
    run("mount", "-t", "tmpfs", "-o", "size=16m", "none", "/run")
    Path("/run/systemd/nspawn").mkdir(parents=True)
    system = plan.disk("/")
    for inside in {"/", *plan.disks}:
        plan.disk(inside).mkdir(parents=True, exist_ok=True)
        if inside in plan.disks:
            run(
                "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={plan.disks[inside]},mode=755",
                "none",
                str(plan.disk(inside)),
            )
    for folder in (system / "upper", system / "work", plan.root):
        folder.mkdir(exist_ok=True)
    options = f"lowerdir={plan.tree},upperdir={system}/upper,workdir={system}/work"
    run("mount", "-t", "overlay", "-o", options, "none", str(plan.root))


class Keeper:
    """Runs the container until it is shut down."""

    def __init__(self, plan: KeeperPlan) -> None:
        self.plan = plan
        self.container: subprocess.Popen[bytes] | None = None
        self.again = False
        self.stopping = False

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGHUP, self._restart)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            # /tmp is what the distribution makes of it, not nspawn's own tmpfs.
            "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
        }
        while True:
            self.again = False
            command = self.plan.command(os.getpid())
            self.container = subprocess.Popen(command, env=environment)
            status = self.container.wait()
            if self.stopping or not (self.again or status == _REBOOT):
                return status

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        self._shut_down()

    def _restart(self, number: int, frame: FrameType | None) -> None:
        self.again = True
        self._shut_down()

    def _shut_down(self) -> None:
        if self.container is not None and self.container.poll() is None:
            self.container.send_signal(signal.SIGTERM)


def main(file: Path) -> int:
    plan = KeeperPlan.from_json(file.read_text())
    try:
        for group in plan.groups:
            cgroups.enter(Path(group))
        mount_tree(plan)
        furnish(plan.root, plan.furniture)
    except (LabError, OSError) as problem:
        print(f"not prepared: {problem}", flush=True)
        return 1
    print("prepared", flush=True)
    if sys.stdin.readline().strip() != "go":
        return 1  # whoever started this is gone
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(2, 1)  # the container's console is the log
    return Keeper(plan).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
