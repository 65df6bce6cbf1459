"""Work out what will be done on a host, show it, and refuse before anything is changed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.catalogue import CatalogueError, load_model, load_release  # noqa: E402
from sightline.hostside import FolderProblem  # noqa: E402
from sightline.layout import Layout, holds, lay_out  # noqa: E402
from sightline.plan import Plan, make_plan  # noqa: E402

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """host (the probe's facts), model, release, engine, root, port, start: publishes the fact `plan`.

    Runs on the controller alone. Fails with every refusal at once, so that they can be mended together.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted = self._task.args
        name = (task_vars or {}).get("inventory_hostname", "?")
        try:
            model, release = load_model(wanted["model"]), load_release(wanted["release"])
            layout = lay_out(wanted["root"], model, release, wanted["start"])
        except (CatalogueError, FolderProblem, OSError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        facts = _as_planned(wanted["host"], layout, model["name"])
        settings = {
            "engine": wanted["engine"],
            "root": wanted["root"],
            "port": int(wanted["port"]),
            "now": int(time.time()),
            "desired": {
                "environment_lock_sha256": layout.environment_digest,
                "model_fingerprint": layout.model_fingerprint,
                "service_fingerprint": layout.release_id,
            },
        }
        plan = make_plan(model, release, facts, settings)
        if plan.refusals:
            raise AnsibleActionFail(_refused(name, plan))
        if plan.changes or display.verbosity:
            for line in plan.as_text().splitlines():
                display.display(f"  {name} | {line}")
        fact = layout.to_dict() | {
            "steps": {step.name: step.action for step in plan.steps},
            "python": (plan.python or {}).get("path", ""),
            "model_name": model["name"],
            "release_name": release["name"],
        }
        return {"changed": False, "ansible_facts": {"plan": fact}}


def _as_planned(host: dict[str, Any], layout: Layout, model: str) -> dict[str, Any]:
    """What the probe listed, narrowed to the one environment, model and service that the plan is about."""
    installed = host["installed"]
    locks = installed["environments"].get(layout.environment, {})
    there = installed["models"].get(layout.model)
    service = installed["service"]
    return host | {
        "installed": {
            "environment": {
                "present": bool(installed["environments"]),
                "lock_sha256": layout.environment_digest if holds(locks, layout.locks) else None,
            },
            "model": {"name": model if there else None, "complete": bool(there), "fingerprint": there},
            "service": {"state": service["state"], "fingerprint": service.get("release")},
        }
    }


def _refused(host: str, plan: Plan) -> str:
    lines = [f"{host}: nothing was changed, because {len(plan.refusals)} thing(s) stand in the way:"]
    for refusal in plan.refusals:
        lines += [f"  - {refusal.what}", f"    why: {refusal.why}", f"    do:  {refusal.remedy}"]
    return "\n".join(lines)
