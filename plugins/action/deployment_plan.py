"""Work out what will be done on a host, show it, and refuse before anything is changed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.bundle import BundleProblem
from sightline.catalogue import CatalogueError, load_model, load_release
from sightline.gateway import Planned, as_there, plan_gateway, read_wishes, stood_before
from sightline.hostside import FolderProblem
from sightline.plan import Plan, make_plan
from sightline.plan.fit import fit_or_none
from sightline.plan.localai import plan_localai
from sightline.plan.release import choose_release, releases_of
from sightline.plan.situation import Situation, computes_on
from sightline.preparing import prepare
from sightline.quote.handed import LATEST, REPORTS, hand_over
from sightline.quote.host_quote import quote_host, read_terms

display = Display()


class ActionModule(ActionBase):
    """host (the probe's facts), model, release, engine, root, port, start, device, fetch, bundle,
    python, host_side, workload, localai, trust_code, terms, gateway: `plan`.

    `gateway`, where it is not empty, says what a gateway on this host stands before (sightline/gateway/).

    Runs on the controller; only where a Python must be fetched is the host asked whether it reaches it. Fails
    with every refusal at once, so that they can be mended together.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wanted = self._task.args
        name = (task_vars or {}).get("inventory_hostname", "?")
        reports = Path(_CHECKOUT) / REPORTS
        try:
            model, engine = load_model(wanted["model"]), str(wanted.get("engine"))
            chosen, why = choose_release(
                wanted["release"],
                str(wanted.get("device")),
                wanted["host"],
                engine,
                releases_of(model, engine),
            )
            release = load_release(chosen)
            localai = plan_localai(model, wanted)
            if localai:
                wanted = {**wanted, "start": {**wanted["start"], "localai": localai}}
            gateway = self._gateway(wanted)
            if gateway:
                model = stood_before(model)
                wanted = {**wanted, "start": {**wanted["start"], "gateway": gateway.settings}}
            ready = prepare(model, release, wanted)
            terms = read_terms(wanted.get("terms") or {})
        except (BundleProblem, CatalogueError, FolderProblem, OSError, ValueError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        facts = ready.facts
        if gateway:
            facts = as_there(facts, model["name"], ready.settings["desired"]["model_fingerprint"])
        if ready.ask:
            answer = self._execute_module(
                module_name="address_answers", module_args={"addresses": ready.ask}, task_vars=task_vars
            )
            facts = facts | {"python_source": answer}
        plan = make_plan(model, release, facts, ready.settings)
        if gateway:
            plan = replace(
                plan, refusals=(*plan.refusals, *gateway.refusals), notes=(*plan.notes, *gateway.notes)
            )
        there = Situation(model, release, facts, ready.settings)
        quote = quote_host(name, plan, fit_or_none(there), model, facts, terms, reports / name / LATEST)
        hand_over(quote)
        choice = f"release {chosen}, because {why} (sightline_release names another)" if why else ""
        if plan.refusals:
            raise AnsibleActionFail(_refused(name, plan, bool(ready.settings["host"].get("done")), choice))
        if plan.changes or display.verbosity:
            if choice and not ready.settings["staging"]:
                display.display(f"  {name} | {choice}")
            for line in quote.lines():
                display.display(f"  {name} | {line}")
        python = plan.python or {}
        fact = ready.layout.to_dict() | {
            "steps": {step.name: step.action for step in plan.steps},
            "python": python.get("path", ""),
            "python_choice": python,
            "adopted": ready.adopted,
            "words": ready.words,
            "host": plan.host or {},
            "device": computes_on(there),
            "model_name": model["name"],
            "release_name": release["name"],
            "localai": localai,
        }
        if gateway:
            fact |= {"model_name": gateway.settings["model"], "gateway": gateway.settings}
            fact |= {"gateway_oci_key_file": gateway.oci_key_file}
        return {"changed": False, "ansible_facts": {"plan": fact}}

    def _gateway(self, wanted: dict[str, Any]) -> Planned | None:
        told = wanted.get("gateway") or {}
        if not told:
            return None
        members = tuple(str(member) for member in told["members"])
        return plan_gateway(read_wishes(told), str(wanted["root"]), int(wanted["host"]["uid"]), members)


def _refused(host: str, plan: Plan, again: bool, choice: str) -> str:
    many = f"{len(plan.refusals)} thing(s) stand in the way"
    if again:
        lines = [f"{host}: the driver was seen to, and {many} of the rest:"]
    else:
        lines = [f"{host}: nothing was changed, because {many}:"]
    for refusal in plan.refusals:
        lines += [f"  - {refusal.what}", f"    why: {refusal.why}", f"    do:  {refusal.remedy}"]
    return "\n".join([*lines, *([f"  This is for {choice}."] if choice else [])])
