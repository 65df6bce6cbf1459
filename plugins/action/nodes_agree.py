"""Hold the hosts that are to hold one model together against each other, before anything is changed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.plan.nodes import Node, node_fact, node_objections


class ActionModule(ActionBase):
    """names (hosts of the inventory, the head first), addresses (theirs), port (the head's): the fact `node`.

    Runs on the controller, on what each host's probe and plan told. Fails with every objection at once.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted, known = self._task.args, (task_vars or {}).get("hostvars") or {}
        here = str((task_vars or {}).get("inventory_hostname", "?"))
        names = [str(name) for name in wanted["names"]]
        addresses = [str(address) for address in wanted["addresses"]]
        strangers = [name for name in names if name not in known]
        if strangers:
            raise AnsibleActionFail(
                f"sightline_nodes names {', '.join(strangers)}, which the inventory does not have"
            )
        nodes = [_node(name, address, known) for name, address in zip(names, addresses, strict=True)]
        objections = node_objections(nodes, here)
        if objections:
            lines = [
                f"{here}: nothing was changed, because {len(objections)} thing(s) keep these hosts apart:"
            ]
            for found in objections:
                lines += [f"  - {found.what}", f"    why: {found.why}", f"    do:  {found.remedy}"]
            raise AnsibleActionFail("\n".join(lines))
        return {"changed": False, "ansible_facts": {"node": node_fact(nodes, here, int(wanted["port"]))}}


def _node(name: str, address: str, known: Mapping[str, Any]) -> Node:
    facts = known[name].get("ansible_facts") or {}
    return Node(name, address, facts.get("probe_host") or {}, facts.get("plan"))
