"""Read the controller's ~/.oci/config for a gateway; what cannot work is refused before anything is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.oci.errors import OciTrouble  # noqa: E402
from sightline.oci.wishes import Wishes, make_ready  # noqa: E402

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Options: those of sightline.oci.wishes.Wishes, the inventory's gateway_oci_* without that prefix.

    Returns `settings` (the gateway's entry `oci`, without the key's file), `key_file` (on the controller) and
    `notes`, which are shown. The key itself is not read into a result.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        name = (task_vars or {}).get("inventory_hostname", "?")
        given = {key: value for key, value in self._task.args.items() if value is not None}
        check = boolean(given.pop("check", True))
        try:
            ready = make_ready(Wishes(**{key: str(value) for key, value in given.items()}, check=check))
        except OciTrouble as trouble:
            raise AnsibleActionFail(
                f"{name}: nothing was changed, because Oracle's service cannot be used:\n"
                f"  - {trouble.what}\n    do:  {trouble.remedy}"
            ) from trouble
        for note in ready.notes:
            display.display(f"  {name} | OCI: {note}")
        return {
            "changed": False,
            "settings": ready.settings,
            "key_file": ready.key_file,
            "notes": list(ready.notes),
        }
