"""The sha256 that a release publishes for a file, taken on the controller and remembered there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.localai import PinProblem, published_sha256


class ActionModule(ActionBase):
    """url, asset, remembered: `sha256`. See sightline/localai/pins.py; the host is not asked."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted = self._task.args
        if self._task.check_mode:
            return {"changed": False, "sha256": ""}
        try:
            found = published_sha256(wanted["url"], wanted["asset"], Path(wanted["remembered"]))
        except PinProblem as problem:
            raise AnsibleActionFail(str(problem)) from problem
        return {"changed": False, "sha256": found}
