"""Make the plan: read the situation, decide each step, run each check."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sightline.catalogue import Problem, entry_problems
from sightline.plan.adopt import decide_adoption, one_is_adopted
from sightline.plan.bundle import BUNDLE_CHECKS
from sightline.plan.checks import CHECKS, Check
from sightline.plan.clock import clock_is_right
from sightline.plan.device import device_is_possible, device_notes
from sightline.plan.driver import (
    driver_halves_agree,
    driver_is_new_enough,
    driver_is_there,
    driver_lists_the_cards,
    nouveau_is_not_loaded,
    secure_boot_lets_the_module_in,
    smi_answers,
)
from sightline.plan.fit import fit_dict, fit_notes, gpu_shares, model_fits_gpu
from sightline.plan.gguf import pair_can_be_loaded
from sightline.plan.gpu import fabric_is_up, gpu_is_there, gpu_notes, release_computes_on_gpu
from sightline.plan.host_checks import HOST_CHECKS, host_notes
from sightline.plan.host_side import host_side, host_steps
from sightline.plan.interpreter import choose_python, packages_can_come, python_fits, python_notes
from sightline.plan.loader import code_is_trusted
from sightline.plan.localai import localai_can_be_brought, localai_can_be_told, localai_notes
from sightline.plan.outcome import Plan, Refusal, Share, Step
from sightline.plan.places import data_disk_notes
from sightline.plan.reading import Unreadable, read, read_or_none
from sightline.plan.server_words import engine_memory
from sightline.plan.situation import (
    Situation,
    asks_index,
    disk_shares,
    environment_step,
    fetch_shares,
    memory_shares,
    model_step,
    root_step,
    service_step,
)
from sightline.plan.system_parts import parts_are_there
from sightline.plan.vllm_checks import engine_takes_nodes, node_notes

_CHECKS: tuple[tuple[str, Check], ...] = (
    *CHECKS,
    *HOST_CHECKS,
    *BUNDLE_CHECKS,
    ("environment", one_is_adopted),
    ("environment", python_fits),
    ("environment", packages_can_come),
    ("environment", clock_is_right),
    ("model", pair_can_be_loaded),
    ("model", code_is_trusted),
    ("service", localai_can_be_brought),
    ("service", localai_can_be_told),
    ("service", engine_takes_nodes),
    ("service", parts_are_there),
    ("service", device_is_possible),
    ("service", gpu_is_there),
    ("service", release_computes_on_gpu),
    ("service", model_fits_gpu),
    ("service", driver_halves_agree),
    ("service", nouveau_is_not_loaded),
    ("service", secure_boot_lets_the_module_in),
    ("service", driver_is_there),
    ("service", smi_answers),
    ("service", driver_lists_the_cards),
    ("service", fabric_is_up),
    ("service", driver_is_new_enough),
)


_OF_STAGING = (
    "model_is_pinned", "model_can_be_brought", "bundle_has_the_model", "root_is_writable", "root_is_ours",
    "disk_is_free",
)  # fmt: skip
"""The checks that matter where only the model is fetched."""


def make_plan(model: Any, release: Any, facts: Any, settings: Any) -> Plan:
    """Work out what would be done on one host; nothing is touched and nothing is raised for bad input.

    Args:
        model: a model entry of the catalogue, as `load_model` returns it.
        release: a release entry of the catalogue.
        facts: what the probe read on the host (docs/catalogue.md lists them).
        settings: `engine`, `root`, `port`, `desired` (environment_lock_sha256, model_fingerprint,
            service_fingerprint) and, if wanted, `margin_bytes`, `now` (the controller's time, epoch
            seconds), `device`, `staging` (only the model is fetched), `model_sources`, `workload` (context,
            slots, pictures; 0 for what nobody said), `host` (what is wished of driver and CUDA), `service`
            (user, manager), `localai` (docs/localai.md), `trust_code` (loader.py), `bundle` (what one holds;
            see preparing.py) and how a Python is to come: `python_env`, `python_source`, `python_mirror`,
            `python_list`, `python_builds`, `pythons_named`, `libraries`.

    Returns:
        The plan. Whatever is wrong with the entries, the host or the settings stands in its `refusals`.
    """
    invalid = _catalogue_refusals(model, release)
    if invalid:
        return _plan_without_steps(model, release, settings, invalid)
    there = Situation(model, release, facts, settings)
    refusals: list[Refusal] = []
    steps = _decide_steps(there, refusals)
    changing = {step.name for step in steps if step.action in ("make", "change")}
    names = {step.name for step in steps}
    for place, check in _CHECKS:
        if there.staging and check.__name__ not in _OF_STAGING:
            continue
        # On most hosts there is no step for a driver; the service rests on it.
        step = place if place in names else "service"
        try:
            refusals += [
                Refusal(check.__name__, step, found.what, found.why, found.remedy)
                for found in check(there, changing)
            ]
        except Unreadable as missing:
            refusals.append(_unread(missing, step, check.__name__))
    refusals = list(dict.fromkeys(refusals))
    adopted = decide_adoption(there)[0] is not None
    gpu = gpu_shares(there)
    stopped = {refusal.step: refusal.what for refusal in reversed(refusals)}
    return Plan(
        model=model["name"],
        release=release["name"],
        engine=read_or_none(settings, "engine", str) or "?",
        root=read_or_none(settings, "root", str) or "?",
        steps=tuple(
            Step(step.name, "refuse", stopped[step.name]) if step.name in stopped else step for step in steps
        ),
        refusals=tuple(refusals),
        notes=tuple(_notes(there, changing)),
        fetch=fetch_shares(there, changing, adopted),
        disk=_or_empty(lambda: disk_shares(there, changing, adopted)),
        memory=(*_or_empty(lambda: memory_shares(there)), *engine_memory(there))
        if "service" in changing
        else (),
        gpu=gpu[0] if "service" in changing else (),
        gpu_there=gpu[1],
        fit=fit_dict(there) if "service" in changing else None,
        disk_free=read_or_none(facts, "root.free_bytes", int),
        memory_there=read_or_none(facts, "memory.available_bytes", int),
        python=_python(there) if "environment" in changing else None,
        host=_host(there),
    )


def _catalogue_refusals(model: Any, release: Any) -> list[Refusal]:
    problems: list[tuple[str, Problem]] = []
    for kind, entry in (("model", model), ("release", release)):
        name = entry.get("name") if isinstance(entry, dict) else None
        shown = f"catalogue/{kind}s/{name or '?'}.yml"
        found = entry_problems("model" if kind == "model" else "release", entry, shown)
        problems += [("model" if kind == "model" else "environment", problem) for problem in found]
    return [
        Refusal(
            "catalogue_is_valid",
            step,
            f"{problem.file}: {problem.key}: {problem.what}",
            "an entry that breaks its schema cannot be deployed",
            problem.remedy,
        )
        for step, problem in problems
    ]


def _plan_without_steps(model: Any, release: Any, settings: Any, refusals: list[Refusal]) -> Plan:
    return Plan(
        model=read_or_none(model, "name", str) or "?",
        release=read_or_none(release, "name", str) or "?",
        engine=read_or_none(settings, "engine", str) or "?",
        root=read_or_none(settings, "root", str) or "?",
        steps=tuple(
            Step(name, "refuse", "the catalogue entry is not valid")
            for name in ("root", "environment", "model", "service")
        ),
        refusals=tuple(refusals),
        notes=(),
        fetch=(),
        disk=(),
        memory=(),
        gpu=(),
        gpu_there=None,
        fit=None,
        disk_free=None,
        memory_there=None,
        python=None,
        host=None,
    )


def _decide_steps(there: Situation, refusals: list[Refusal]) -> list[Step]:
    steps: list[Step] = []
    deciders: list[tuple[str, Callable[[], Step]]] = [
        ("root", lambda: root_step(there)),
        ("environment", lambda: environment_step(there)),
        ("model", lambda: model_step(there)),
        ("service", lambda: service_step(there, steps)),
    ]
    if there.staging:
        deciders = [(name, decide) for name, decide in deciders if name in ("root", "model")]
    # What cannot be read for them is refused by their checks.
    with suppress(Unreadable):
        steps += [] if there.staging else host_steps(there)
    for name, decide in deciders:
        try:
            steps.append(decide())
        except Unreadable as missing:
            refusals.append(_unread(missing, name, "facts_are_readable"))
            steps.append(Step(name, "refuse", f"could not read {missing.fact}"))
    return steps


def _unread(missing: Unreadable, step: str, check: str) -> Refusal:
    return Refusal(
        check,
        step,
        f"could not read {missing.fact} (found {missing.found!r})",
        "the plan does not guess",
        "run the probe again with -v and see what it says of this host",
    )


def _or_empty(shares: Callable[[], tuple[Share, ...]]) -> tuple[Share, ...]:
    try:
        return shares()
    except Unreadable:
        return ()


def _python(there: Situation) -> dict[str, Any] | None:
    try:
        choice = choose_python(there)
    except Unreadable:
        return None
    return choice.to_dict() if choice else None


def _host(there: Situation) -> dict[str, Any] | None:
    try:
        return host_side(there).to_dict()
    except Unreadable:
        return None


def _notes(there: Situation, changing: set[str]) -> list[str]:
    if there.staging:
        staged = "only the model is fetched (--tags fetch): whether this host can serve it was not looked at"
        return [staged, *(data_disk_notes(there) if "root" in changing else ())]
    notes = gpu_notes(there) + device_notes(there) + host_notes(there) + node_notes(there)
    if "root" in changing:
        notes += data_disk_notes(there)
    never = {
        "not_run_here": "never run by this project",
        "checked_on_cpu": "run by this project on CPUs only",
    }
    if said := never.get(there.release["tested_together"]["status"]):
        notes.append(f"release {there.release['name']} was {said}")
    try:
        serving = there.serving
    except Unreadable:
        serving = None
    if serving and serving["status"] != "checked_here":
        engine = read(there.settings, "engine", str)
        notes.append(f"that {engine} serves {there.model['name']} was not checked here: {serving['source']}")
    notes += localai_notes(there, changing)
    if "service" in changing:
        notes += fit_notes(there)
    if "environment" in changing:
        notes += python_notes(there)
        if there.release["disk"]["download_bytes"] is None:
            notes.append("how many bytes the environment's wheels have is not known")
        if asks_index(there) and read_or_none(there.facts, "index.reachable", bool) is None:
            detail = read_or_none(there.facts, "index.detail", str)
            notes.append(
                f"whether the host reaches the package index is not known{f': {detail}' if detail else ''}"
            )
    return notes
