"""Prove a deployed endpoint from the controller, and show each answer as it comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()
CHECKOUT = Path(__file__).resolve().parents[2]
VERDICTS = {0: "proven", 1: "not proven", 2: "could not tell"}


class ActionModule(ActionBase):
    """host: the deployment record's name; options: further options of scripts/prove."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        host = str(self._task.args["host"])
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "a proof asks the deployed endpoint"}
        command = [
            sys.executable,
            "-m",
            "sightline.prove",
            "--host",
            host,
            *map(str, self._task.args.get("options") or ()),
        ]
        lines = []
        with subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as running:  # fmt: skip
            assert running.stdout is not None
            for line in running.stdout:
                lines.append(line.rstrip())
                display.display(f"  {host} | {lines[-1]}")
        verdict = VERDICTS.get(running.returncode, f"prove ended with exit code {running.returncode}")
        result: dict[str, Any] = {"changed": False, "verdict": verdict}
        if running.returncode != 0:
            said = [line for line in lines if line.lower().startswith(verdict)]
            result |= {"failed": True, "msg": f"{host}: {(said or lines or [verdict])[0]}"}
        return result
