"""Keep, on the controller, what was deployed where: other programs find the endpoint by it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """path: the record's file; record: its content. The time is renewed only when the rest has changed."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        path = Path(self._task.args["path"])
        record = json.loads(json.dumps(self._task.args["record"]))
        try:
            old = json.loads(path.read_text())
        except (OSError, ValueError):
            old = {}
        deployed_at = old.pop("deployed_at", None) if isinstance(old, dict) else None
        if old == record and deployed_at:
            return {"changed": False, "path": str(path)}
        if not self._task.check_mode:
            record["deployed_at"] = datetime.now(UTC).isoformat(timespec="seconds")
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(path.name + ".new")
            beside.write_text(json.dumps(record, indent=2) + "\n")
            beside.replace(path)
        return {"changed": True, "path": str(path)}
