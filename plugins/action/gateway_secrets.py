"""Bring a gateway its secrets: the replicas' keys, its clients' keys (made here once), OCI's, TLS's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.gateway.keys import KeysProblem, client_keys, replica_keys


class ActionModule(ActionBase):
    """replica_keys {name: file on the controller}, clients, clients_folder, copies {path on the host: file on
    the controller, "" to have none}, into {clients, replicas}, owner. Nothing of it is shown.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted = self._task.args
        dry = bool(self._task.check_mode)
        try:
            files = {
                str(wanted["into"]["replicas"]): replica_keys(dict(wanted["replica_keys"]), dry),
                str(wanted["into"]["clients"]): client_keys(
                    list(wanted["clients"]), Path(wanted["clients_folder"]), dry
                ),
            }
            for path, source in dict(wanted["copies"]).items():
                files[str(path)] = Path(source).read_text() if source else ""
        except (KeysProblem, OSError, ValueError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        arguments = {"files": files, "owner": wanted["owner"]}
        return dict(
            self._execute_module(module_name="private_files", module_args=arguments, task_vars=task_vars)
        )
