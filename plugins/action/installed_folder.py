"""Send a folder to a host in one transfer, and only when it is not there yet."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.hostside import Contents, FolderProblem, describe, pack

MODULE = "installed_folder"


class ActionModule(ActionBase):
    """src, into, more, files, executables, dest, installed: see plugins/modules/installed_folder.py."""

    # A temporary folder is made only when something is sent: a check leaves nothing on the host.
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted = self._task.args
        source = Path(wanted["src"]) if wanted.get("src") else None
        extra = {str(path): str(text) for path, text in (wanted.get("files") or {}).items()}
        try:
            more = {str(into): Path(folder) for into, folder in (wanted.get("more") or {}).items()}
            contents = Contents(source, extra, str(wanted.get("into") or ""), more)
            manifest = describe(contents, frozenset(wanted.get("executables") or ()))
        except FolderProblem as problem:
            raise AnsibleActionFail(str(problem)) from problem
        if wanted.get("installed") == manifest["fingerprint"]:
            return {"changed": False, "whole": True, "fingerprint": manifest["fingerprint"]}
        arguments = {"dest": str(wanted["dest"]), "manifest": manifest}
        found = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if found.get("failed") or found.get("whole") or self._task.check_mode:
            return dict(found)
        handle, local = tempfile.mkstemp(prefix="sightline-", suffix=".tgz")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pack(contents, manifest))
            remote = self._connection._shell.join_path(self._make_tmp_path(), "folder.tgz")
            self._transfer_file(local, remote)
            self._fixup_perms2((remote,))
        finally:
            os.unlink(local)
        arguments["archive"] = remote
        try:
            return dict(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
