"""Run a module that takes minutes, and show the lines that it writes to its progress file."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.hostside import DONE

display = Display()

POLL_SECONDS = 0.5
STATUS_SECONDS = 10.0
QUIET_SECONDS = 15.0
JOB_FIELDS = ("ansible_job_id", "finished", "started", "results_file")


class ActionModule(ActionBase):
    """module: its name; options: its options (without progress_file); timeout: seconds until it is given up.

    The module runs in the background of the host, so that a connection that breaks off does not end it and
    its progress can be read meanwhile.
    """

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        module = self._task.args["module"]
        options = dict(self._task.args.get("options") or {})
        if self._task.check_mode:
            return dict(self._execute_module(module_name=module, module_args=options, task_vars=task_vars))
        limit = float(self._task.args.get("timeout", 7200))
        self._host = (task_vars or {}).get("inventory_hostname", "")
        self._folder = self._make_tmp_path()
        progress = self._connection._shell.join_path(self._folder, "progress")
        self._task.async_val = int(limit)
        try:
            job = self._execute_module(
                module_name=module,
                module_args={**options, "progress_file": progress},
                task_vars=task_vars,
                wrap_async=True,
            )
            if "ansible_job_id" not in job:
                return dict(job)
            return self._follow(job["ansible_job_id"], progress, limit, task_vars)
        finally:
            self._task.async_val = 0
            self._remove_tmp_path(self._folder)

    def _follow(self, job: str, progress: str, limit: float, task_vars: Any) -> dict[str, Any]:
        start = last_said = last_asked = time.monotonic()
        shown = 0
        while True:
            time.sleep(POLL_SECONDS)
            lines = self._read(progress, shown)
            shown += len(lines)
            now = time.monotonic()
            for line in lines:
                if line != DONE:
                    self._say(line)
            if lines:
                last_said = now
            elif now - last_said > QUIET_SECONDS:
                last_said = now
                self._say(f"still at it, {now - start:.0f} s so far")
            # Reading the file is cheap; asking for the job's state runs a module, so that is done seldom.
            if DONE in lines or now - last_asked > STATUS_SECONDS or now - start > limit:
                last_asked = now
                status = self._status(job, "status", task_vars)
                if status.get("finished"):
                    self._status(job, "cleanup", task_vars)
                    return {name: value for name, value in status.items() if name not in JOB_FIELDS}
            if now - start > limit + 30:
                return {"failed": True, "msg": f"not finished after {limit:.0f} s and given up (job {job})"}

    def _status(self, job: str, mode: str, task_vars: Any) -> dict[str, Any]:
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        arguments = {"jid": job, "mode": mode, "_async_dir": folder}
        return dict(
            self._execute_module(
                module_name="ansible.legacy.async_status", module_args=arguments, task_vars=task_vars
            )
        )

    def _read(self, progress: str, shown: int) -> list[str]:
        read = self._low_level_execute_command(
            f"tail -n +{shown + 1} {shlex.quote(progress)} 2>/dev/null || true"
        )
        return [line for line in read.get("stdout", "").splitlines() if line.strip()]

    def _say(self, line: str) -> None:
        display.display(f"  {self._host} | {line}")
