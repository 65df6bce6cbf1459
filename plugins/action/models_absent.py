"""Take models away from a host, and say what that freed."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class ActionModule(ActionBase):
    """root, names, kept: see plugins/modules/models_absent.py."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        gone = dict(
            self._execute_module(
                module_name="models_absent", module_args=dict(self._task.args), task_vars=task_vars
            )
        )
        if gone.get("changed"):
            verb = "would free" if self._task.check_mode else "freed"
            display.display(f"  {(task_vars or {}).get('inventory_hostname', '')} | {verb} {gone['msg']}")
        return gone
