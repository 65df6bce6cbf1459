"""Look at a rented box from the controller, before anything is put there, and show what is found."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()
CHECKOUT = Path(__file__).resolve().parents[2]
VERDICTS = {0: "accept", 1: "return", 2: "could not tell"}


class ActionModule(ActionBase):
    """name: the host's; way: type, host, port, user, key and ssh_args of the connection; options: further
    options of scripts/accept.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        name, way = str(self._task.args["name"]), self._task.args["way"]
        if way["type"] == "local":
            return {"changed": False, "skipped": True, "msg": "this machine itself is not rented"}
        words = [*ssh_words(way), *map(str, self._task.args.get("options") or ())]
        lines = []
        with subprocess.Popen(
            [sys.executable, "-m", "sightline.accept", *words], cwd=CHECKOUT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as running:  # fmt: skip
            assert running.stdout is not None
            for line in running.stdout:
                lines.append(line.rstrip())
                display.display(f"  {name} | {lines[-1]}")
        verdict = VERDICTS.get(running.returncode, f"accept ended with exit code {running.returncode}")
        result: dict[str, Any] = {"changed": False, "verdict": verdict}
        if running.returncode != 0:
            result |= {
                "failed": True,
                "msg": f"{name}: {verdict}: {'; '.join(reasons(lines)) or 'see above'}",
            }
        return result


def reasons(lines: Sequence[str]) -> list[str]:
    """What stands below Reasons, or else below Not told; or the one line that says why there is no report."""
    for title in ("Reasons:", "Not told:"):
        if title in lines:
            below = lines[lines.index(title) + 1 :]
            block = below[: below.index("")] if "" in below else below
            return [line.strip() for line in block if not line.startswith("   ")]
    return [line.removeprefix("accept: ") for line in lines if line.startswith("accept: could not tell")]


def ssh_words(way: Mapping[str, Any]) -> list[str]:
    """The options of scripts/accept for what Ansible knows of the way; of `ssh_args` those it has too."""
    words = ["-p", str(way["port"])] if way.get("port") else []
    words += ["-i", str(Path(str(way["key"])).expanduser())] if way.get("key") else []
    given = shlex.split(str(way.get("ssh_args") or ""))
    for word, value in pairwise(given):
        if word in ("-o", "-F"):
            words += [word, value]
        elif word == "-J":
            words += ["-o", f"ProxyJump={value}"]
    user = f"{way['user']}@" if way.get("user") else ""
    host = str(way["host"])
    return [*words, f"{user}[{host}]" if ":" in host else f"{user}{host}"]
