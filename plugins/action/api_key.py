"""Make the key on the host and keep a copy where the controller's programs can read it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """path, owner, copy_to: see plugins/modules/api_key.py."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {name: self._task.args.get(name) for name in ("path", "owner")}
        made = dict(self._execute_module(module_name="api_key", module_args=arguments, task_vars=task_vars))
        copy_to = self._task.args.get("copy_to")
        if (
            made.get("failed")
            or not copy_to
            or str(copy_to) == str(arguments["path"])
            or self._task.check_mode
        ):
            return made
        read = self._execute_module(
            module_name="ansible.legacy.slurp", module_args={"src": arguments["path"]}, task_vars=task_vars
        )
        if read.get("failed"):
            return {**made, "failed": True, "msg": f"the API key cannot be read back: {read.get('msg')}"}
        if _keep(Path(copy_to), base64.b64decode(read["content"])):
            made = {**made, "changed": True, "changes": [*made["changes"], f"copied to {copy_to}"]}
        return made


def _keep(copy: Path, key: bytes) -> bool:
    if copy.exists() and copy.read_bytes() == key and copy.stat().st_mode & 0o777 == 0o600:
        return False
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = copy.with_name(copy.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    beside.replace(copy)
    return True
