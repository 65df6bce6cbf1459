"""The plan: each refusal is seen to fire on a broken input and not to fire on the whole one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.catalogue import entry_problems, load_model, load_release
from sightline.plan import Plan, make_plan
from sightline.plan.render import human_bytes
from sightline.plan.versions import version_tuple

GB = 10**9
SHA = "0123456789abcdef" * 4


class Inputs:
    """Four inputs of which nothing stands in the way: the canary on a bare Debian without a GPU."""

    def __init__(self) -> None:
        self.model: dict[str, Any] = copy.deepcopy(load_model("canary"))
        self.model["files"] = [
            {"path": "model.safetensors", "size": 4_000_000, "sha256": SHA, "role": "weights"}
        ]
        for group in ("file_list", "file_sizes", "file_hashes"):
            self.model["provenance"][group] = {"status": "checked_here", "source": "a test"}
        self.release: dict[str, Any] = copy.deepcopy(load_release("cpu"))
        self.release["disk"] |= {"environment_bytes": 1_200_000_000, "download_bytes": 260_000_000}
        self.release["memory"]["process_bytes"] = 400_000_000
        self.facts: dict[str, Any] = {
            "arch": "x86_64",
            "distribution": {"id": "debian", "version": "12"},
            "init": "supervised",
            "user": "somebody",
            "uid": 1000,
            "home": "/home/somebody",
            "python": [{"path": "/usr/bin/python3", "version": "3.11.2", "venv": True}],
            "cpu": {"count": 2},
            "memory": {"total_bytes": 8 * GB, "available_bytes": 6 * GB},
            "gpus": [],
            "clock": {"epoch": 1_700_000_000},
            "driver": {"state": "absent", "version": None},
            "root": {
                "path": "/srv/s",
                "exists": False,
                "ours": False,
                "empty": False,
                "writable": True,
                "free_bytes": 30 * GB,
                "filesystem": "/srv",
            },
            "port": {"number": 8642, "state": "free", "holder": None},
            "index": {"reachable": True, "detail": None},
            "installed": {
                "environment": {"present": False, "lock_sha256": None},
                "model": {"name": None, "complete": False, "fingerprint": None},
                "service": {"state": "absent", "fingerprint": None},
            },
        }
        self.settings: dict[str, Any] = {
            "engine": "sightline-serve",
            "root": "/srv/s",
            "port": 8642,
            "now": 1_700_000_030,
            "desired": {
                "environment_lock_sha256": "lock",
                "model_fingerprint": "files",
                "service_fingerprint": "service",
            },
        }

    def plan(self) -> Plan:
        return make_plan(self.model, self.release, self.facts, self.settings)


def deployed(inputs: Inputs) -> None:
    """The same host after a deployment."""
    inputs.facts["root"] |= {"exists": True, "ours": True}
    inputs.facts["port"] |= {"state": "ours", "holder": "python3 (pid 7)"}
    inputs.facts["index"] = {"reachable": None, "detail": "not asked: an environment is there already"}
    inputs.facts["installed"] = {
        "environment": {"present": True, "lock_sha256": "lock"},
        "model": {"name": "canary", "complete": True, "fingerprint": "files"},
        "service": {"state": "running", "fingerprint": "service"},
    }


def on_a_gpu(inputs: Inputs) -> None:
    """A CUDA release and a host with one GPU for it; the model is said to be served there."""
    inputs.release |= {
        "accelerator": "cuda",
        "driver": {"floor": "550.54.14"},
        "cuda": "12.4",
        "cudnn": "9.1.0.70",
    }
    inputs.facts["gpus"] = [{"name": "NVIDIA H800", "memory_bytes": 80 * GB, "uuid": "GPU-1"}]
    inputs.facts["driver"] = {"state": "installed", "version": "550.54.14"}


BLACKWELL = {"name": "NVIDIA GeForce RTX 5090", "memory_bytes": 32 * GB, "uuid": "GPU-1"}
"""A card of compute capability 12.0."""


def kernels(minimum: str, below: str) -> Callable[[Inputs], None]:
    """A release whose kernels run on cards from one compute capability to below another."""

    def change(inputs: Inputs) -> None:
        inputs.release["gpu_compute"] = {"minimum": minimum, "below": below, "source": "a test"}

    return change


@pytest.fixture
def inputs() -> Inputs:
    return Inputs()


def actions(plan: Plan) -> dict[str, str]:
    return {step.name: step.action for step in plan.steps}


# --- nothing in the way -----------------------------------------------------------------------------------


def test_a_bare_host_gets_everything(inputs: Inputs) -> None:
    plan = inputs.plan()
    assert plan.refusals == ()
    assert plan.ok
    assert plan.changes
    assert actions(plan) == dict.fromkeys(("root", "environment", "model", "service"), "make")
    assert plan.python is not None
    assert plan.python["path"] == "/usr/bin/python3"
    assert (plan.python["version"], plan.python["source"]) == ("3.11.2", "found")
    assert plan.fetch_bytes == 260_000_000 + 4_000_000
    margin = 512 * 1024**2
    assert plan.disk_bytes == 1_200_000_000 + 4_000_000 + margin
    # 16-bit weights may be widened on a CPU
    assert plan.memory_bytes == 400_000_000 + 8_000_000


def test_a_deployed_host_keeps_everything_and_needs_nothing(inputs: Inputs) -> None:
    deployed(inputs)
    inputs.facts["root"] |= {"free_bytes": 0, "writable": False}
    inputs.facts["memory"]["available_bytes"] = 0
    inputs.facts["python"] = []
    plan = inputs.plan()
    assert plan.refusals == ()
    assert not plan.changes
    assert set(actions(plan).values()) == {"keep"}
    assert (plan.fetch_bytes, plan.disk_bytes, plan.memory_bytes, plan.python) == (0, 0, 0, None)
    assert "nothing will be changed" in plan.as_text()


def test_a_gpu_host_is_not_refused(inputs: Inputs) -> None:
    on_a_gpu(inputs)
    assert inputs.plan().refusals == ()


@pytest.mark.parametrize(
    ("where", "value", "step", "why"),
    [
        ("environment.lock_sha256", "other", "environment", "other lock files"),
        ("environment.lock_sha256", None, "environment", "other lock files"),
        ("model.fingerprint", "other", "model", "not those of the catalogue"),
        ("service.fingerprint", "other", "service", "otherwise"),
        ("service.fingerprint", None, "service", "otherwise"),
        ("service.state", "stopped", "service", "start it"),
    ],
)
def test_what_differs_is_changed(inputs: Inputs, where: str, value: object, step: str, why: str) -> None:
    deployed(inputs)
    thing, key = where.split(".")
    inputs.facts["installed"][thing][key] = value
    plan = inputs.plan()
    assert plan.refusals == ()
    changed = {found.name: found.why for found in plan.steps if found.action == "change"}
    assert why in changed[step]
    # a service is restarted with what it rests on, and nothing else is touched
    assert set(changed) == {step, "service"}


@pytest.mark.parametrize(
    "installed",
    [
        {"name": "canary", "complete": False, "fingerprint": None},
        {"name": "another", "complete": True, "fingerprint": "files"},
    ],
)
def test_a_half_model_and_another_model_are_made_anew(inputs: Inputs, installed: dict[str, Any]) -> None:
    deployed(inputs)
    inputs.facts["installed"]["model"] = installed
    assert actions(inputs.plan()) == {
        "root": "keep",
        "environment": "keep",
        "model": "make",
        "service": "change",
    }


# --- each refusal fires -----------------------------------------------------------------------------------


def facts(**changes: object) -> Callable[[Inputs], None]:
    return lambda inputs: inputs.facts.update(changes)


def inside(group: str, **changes: object) -> Callable[[Inputs], None]:
    return lambda inputs: inputs.facts[group].update(changes)


def wanted(**changes: object) -> Callable[[Inputs], None]:
    return lambda inputs: inputs.settings.update(changes)


def entries(model: str, release: str, engine: str = "sightline-serve") -> Callable[[Inputs], None]:
    def change(inputs: Inputs) -> None:
        inputs.model, inputs.release = load_model(model), load_release(release)
        inputs.settings["engine"] = engine

    return change


def in_no_release(inputs: Inputs) -> None:
    for serving in inputs.model["engines"]["can_serve"]:
        serving["releases"] = []


def on(first: Callable[[Inputs], object], *others: Callable[[Inputs], object]) -> Callable[[Inputs], None]:
    def change(inputs: Inputs) -> None:
        for step in (first, *others):
            step(inputs)

    return change


def large_model(inputs: Inputs) -> None:
    inputs.model["files"][0]["size"] = 90 * GB


def python(version: str, venv: bool = True) -> Callable[[Inputs], None]:
    return facts(python=[{"path": "/usr/bin/python3", "version": version, "venv": venv}])


BOTH_LOCKS = {"environment": {"present": True, "lock_sha256": "other"}}

REFUSALS: dict[str, tuple[Callable[[Inputs], None], str, str, str]] = {
    "engine not in the release": (
        wanted(engine="llamacpp"),
        "engine_serves_model",
        "carries no engine",
        "release",
    ),
    "a service that runs elsewhere": (
        wanted(engine="oci"),
        "engine_serves_model",
        "oci is no engine of a host",
        "make the host a gateway",
    ),
    "engine does not serve the model": (
        entries("phi-3-vision-128k", "llamacpp-cpu", "llamacpp"),
        "engine_serves_model",
        "does not serve phi-3-vision-128k",
        "use sightline-serve in release phi3-cu124 or sightline-serve in release phi3-cpu",
    ),
    "files that the engine of today refuses": (
        entries("llava-1.5-7b-gguf", "llamacpp-cpu", "llamacpp"),
        "engine_serves_model",
        "does not serve llava-1.5-7b-gguf",
        "take the model llava-1.5-7b-second-state",
    ),
    "no engine of this kit serves the model": (
        on(entries("phi-3-vision-128k", "cpu"), in_no_release),
        "engine_serves_model",
        "does not serve phi-3-vision-128k",
        "no release of this kit serves it yet",
    ),
    "model of another release": (
        entries("llama-3.2-11b-vision-bnb-4bit", "cpu"),
        "engine_serves_model",
        "does not serve",
        "use sightline-serve in release seed-cu124",
    ),
    "commit or hashes unknown": (
        entries("llama-3.2-90b-vision-bnb-4bit", "seed-cu124"),
        "model_is_pinned",
        "the sha256 of 17 of 18 files",
        "catalogue/models/llama-3.2-90b-vision-bnb-4bit.yml",
    ),
    "model on a hub and no place to fetch it from": (
        on(entries("qwen2.5-vl-7b", "cpu"), lambda inputs: inputs.settings.update(model_sources=[])),
        "model_can_be_brought",
        "sightline_model_sources names no place",
        "https://huggingface.co",
    ),
    "release without lock": (
        lambda inputs: inputs.release.update(lock_files=[]),
        "release_is_locked",
        "cpu has no lock file",
        "choose another release",
    ),
    "architecture": (facts(arch="ppc64le"), "architecture_fits", "the host is ppc64le", "architecture"),
    "init": (facts(init="openrc"), "init_is_known", "could not read init (found 'openrc')", "probe"),
    "index": (
        facts(index={"reachable": False, "detail": "Connection refused"}),
        "index_is_reachable",
        "does not reach the package index",
        "proxy",
    ),
    "index, on a host with old locks": (
        on(deployed, inside("installed", **BOTH_LOCKS), facts(index={"reachable": False, "detail": None})),
        "index_is_reachable",
        "does not reach",
        "proxy",
    ),
    "root": (
        inside("root", writable=False),
        "root_is_writable",
        "somebody cannot write to /srv/s",
        "sightline_root",
    ),
    "somebody else's root": (
        inside("root", exists=True),
        "root_is_ours",
        "/srv/s is not empty and was not made by Sightline",
        "a folder that does not exist yet",
    ),
    "disk": (inside("root", free_bytes=GB), "disk_is_free", "1.00 GB free on /srv", "larger disk"),
    "disk for the model alone": (
        on(deployed, inside("installed", model={"name": None, "complete": False}), large_model),
        "disk_is_free",
        "30.0 GB free",
        "free 60.5 GB there",
    ),
    "memory": (
        inside("memory", available_bytes=100_000_000),
        "memory_is_there",
        "100 MB of memory free, 408 MB needed",
        "more memory",
    ),
    "memory, though ours runs": (
        on(deployed, inside("installed", **BOTH_LOCKS), inside("memory", total_bytes=400_000_000)),
        "memory_is_there",
        "400 MB of memory in all",
        "more memory",
    ),
    "port": (
        inside("port", state="taken", holder="nginx (pid 12)"),
        "port_is_free",
        "port 8642 is taken by nginx (pid 12)",
        "sightline_port",
    ),
    "port, holder hidden": (inside("port", state="taken"), "port_is_free", "may not see", "sightline_port"),
    "clock behind": (
        facts(clock={"epoch": 1_700_000_030 - 86400 * 400}),
        "clock_is_right",
        "the host's clock is 400 days behind",
        "timedatectl set-ntp true",
    ),
    "clock ahead": (
        facts(clock={"epoch": 1_700_000_030 + 660}),
        "clock_is_right",
        "the host's clock is 11 minutes ahead",
        "timedatectl set-ntp true",
    ),
    "Python too old": (python("3.10.12"), "python_fits", "the host has Python 3.10.12", "newer distribution"),
    "Python too new": (python("3.14.0"), "python_fits", "the host has Python 3.14.0", "newer distribution"),
    "Python of no version": (python("unknown"), "python_fits", "Python unknown", "newer distribution"),
    "no Python": (facts(python=[]), "python_fits", "no Python", "newer distribution"),
    "Python without venv": (python("3.12.1", False), "python_fits", "venv module is missing", "python3-venv"),
    "no GPU": (on(on_a_gpu, facts(gpus=[])), "gpu_is_there", "shows no NVIDIA GPU", "started without"),
    "GPU newer than the release's kernels": (
        on(on_a_gpu, kernels("5.0", "10.0"), facts(gpus=[BLACKWELL])),
        "release_computes_on_gpu",
        "has no kernels for GeForce RTX 5090",
        "another card",
    ),
    "GPU older than the release's kernels": (
        on(on_a_gpu, kernels("9.1", "13.0"), facts(gpus=[{"name": "NVIDIA H800", "memory_bytes": 80 * GB}])),
        "release_computes_on_gpu",
        "has no kernels for H800 80 GB",
        "a release that was built for this one",
    ),
    "GPU smaller than the weights": (
        on(on_a_gpu, large_model, inside("root", free_bytes=900 * GB)),
        "model_fits_gpu",
        "canary needs 90.6 GB; a GPU has 78.8 GB for it",
        "one H20 96 GB",
    ),
    "old driver": (
        on(on_a_gpu, facts(driver={"state": "installed", "version": "550.54"})),
        "driver_is_new_enough",
        "the NVIDIA driver is 550.54",
        "install a newer driver",
    ),
    "old injected driver": (
        on(on_a_gpu, facts(driver={"state": "injected", "version": "535.104.05"})),
        "driver_is_new_enough",
        "the NVIDIA driver is 535.104.05",
        "choose a box",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_the_refusal_fires(inputs: Inputs, case: str) -> None:
    change, check, what, remedy = REFUSALS[case]
    change(inputs)
    plan = inputs.plan()
    found = [refusal for refusal in plan.refusals if refusal.check == check]
    assert found, plan.refusals
    assert what in found[0].what
    assert found[0].why
    assert remedy in found[0].remedy
    assert not plan.ok
    assert actions(plan)[found[0].step] == "refuse"
    text = plan.as_text()
    assert what in text
    assert remedy in text


@pytest.mark.parametrize(
    "case",
    [
        "architecture",
        "root",
        "disk",
        "memory",
        "port",
        "clock behind",
        "Python too old",
        "no GPU",
        "GPU newer than the release's kernels",
        "old driver",
    ],
)
def test_one_fault_gives_one_refusal(inputs: Inputs, case: str) -> None:
    REFUSALS[case][0](inputs)
    assert len(inputs.plan().refusals) == 1


def test_several_faults_are_all_told_at_once(inputs: Inputs) -> None:
    for case in ("root", "port", "index", "Python too old"):
        REFUSALS[case][0](inputs)
    checks = {refusal.check for refusal in inputs.plan().refusals}
    assert checks == {"root_is_writable", "port_is_free", "index_is_reachable", "python_fits"}


@pytest.mark.parametrize(
    ("key", "value"), [("commit", None), ("files", [])], ids=["commit unknown", "no list of files"]
)
def test_a_model_that_is_not_pinned_is_refused(inputs: Inputs, key: str, value: object) -> None:
    inputs.model = copy.deepcopy(load_model("llava-1.5-7b-gguf"))
    unknown = {"status": "unknown", "source": "not found"}
    if key == "commit":
        inputs.model["source"]["commit"] = value
        inputs.model["provenance"]["commit"] = unknown
    else:
        inputs.model["files"] = value
        inputs.model["provenance"]["file_list"] = unknown
    assert entry_problems("model", inputs.model, "x") == []
    assert "model_is_pinned" in {refusal.check for refusal in inputs.plan().refusals}


def test_an_entry_that_breaks_its_schema_is_refused_before_all_else(inputs: Inputs) -> None:
    inputs.model["source"] = {"kind": "hub", "repo": "a/b", "commit": "main"}
    inputs.release["python"]["minimum"] = 3.11
    plan = inputs.plan()
    assert {refusal.check for refusal in plan.refusals} == {"catalogue_is_valid"}
    assert set(actions(plan).values()) == {"refuse"}
    text = plan.as_text()
    assert "catalogue/models/canary.yml: source.commit" in text
    assert "catalogue/releases/cpu.yml: python.minimum" in text


# --- limits -----------------------------------------------------------------------------------------------


def test_what_came_of_the_model_before_is_neither_fetched_nor_counted_on_the_disk_again(
    inputs: Inputs,
) -> None:
    """A fetch that was cut off: one file of 4 MB, allocated whole, of which 1 MB came."""
    whole = inputs.plan()
    inputs.facts["installed"]["model"] |= {
        "name": "canary", "disk_bytes": 4_000_000, "there_bytes": 1_000_000,
    }  # fmt: skip
    plan = inputs.plan()
    assert whole.disk_bytes - plan.disk_bytes == 4_000_000
    assert whole.fetch_bytes - plan.fetch_bytes == 1_000_000
    (step,) = (step for step in plan.steps if step.name == "model")
    assert (step.action, step.why) == ("make", "1.00 MB of it came before: the fetch goes on")


def test_models_that_are_to_go_make_room(inputs: Inputs) -> None:
    inputs.facts["root"]["free_bytes"] = inputs.plan().disk_bytes - GB
    assert [refusal.check for refusal in inputs.plan().refusals] == ["disk_is_free"]
    assert "sightline_models_absent" in inputs.plan().refusals[0].remedy
    inputs.facts["installed"]["freed_bytes"] = GB
    assert inputs.plan().ok


def test_to_fetch_the_model_only_a_host_needs_no_gpu_no_index_and_no_free_port(inputs: Inputs) -> None:
    """A cheap box with the data disk: nothing is said of what would refuse to serve there."""
    inputs.model = load_model("qwen2.5-vl-7b")
    inputs.release = load_release("seed-cu124")
    inputs.settings |= {"staging": True, "model_sources": ["https://huggingface.co"]}
    inputs.facts |= {"index": {"reachable": False, "detail": None}, "python": [], "arch": "aarch64"}
    inputs.facts["port"] |= {"state": "taken"}
    plan = inputs.plan()
    assert plan.refusals == ()
    assert actions(plan) == {"root": "make", "model": "make"}
    assert [share.what for share in plan.disk] == ["model", "margin"]
    assert "whether this host can serve it was not looked at" in plan.as_text()
    inputs.facts["root"]["free_bytes"] = 5 * GB
    assert [refusal.check for refusal in inputs.plan().refusals] == ["disk_is_free"]
    inputs.model = load_model("llama-3.2-90b-vision-bnb-4bit")
    assert "model_is_pinned" in {refusal.check for refusal in inputs.plan().refusals}


def test_disk_is_enough_to_the_byte(inputs: Inputs) -> None:
    needed = inputs.plan().disk_bytes
    inputs.facts["root"]["free_bytes"] = needed
    assert inputs.plan().ok
    inputs.facts["root"]["free_bytes"] = needed - 1
    assert not inputs.plan().ok


def test_the_margin_can_be_set(inputs: Inputs) -> None:
    inputs.settings["margin_bytes"] = 0
    small = inputs.plan().disk_bytes
    inputs.settings["margin_bytes"] = 5 * GB
    assert inputs.plan().disk_bytes == small + 5 * GB


def test_memory_is_enough_to_the_byte(inputs: Inputs) -> None:
    needed = inputs.plan().memory_bytes
    inputs.facts["memory"]["available_bytes"] = needed
    assert inputs.plan().ok
    inputs.facts["memory"]["available_bytes"] = needed - 1
    assert not inputs.plan().ok


@pytest.mark.parametrize("seconds", [-600, 600, 3600, -3600])
def test_a_clock_that_is_ten_minutes_off_will_do(inputs: Inputs, seconds: int) -> None:
    inputs.facts["clock"]["epoch"] = inputs.settings["now"] + seconds
    assert inputs.plan().ok is (abs(seconds) == 600)


def test_a_host_that_is_in_place_needs_no_clock_and_neither_does_an_unknown_one(inputs: Inputs) -> None:
    del inputs.facts["clock"]
    assert inputs.plan().ok
    inputs.facts["clock"] = {"epoch": 0}
    deployed(inputs)
    assert inputs.plan().ok


@pytest.mark.parametrize("version", ["3.11.0", "3.11.7", "3.12.2", "3.13.0rc1", "3.13.99"])
def test_pythons_of_the_range_are_taken(inputs: Inputs, version: str) -> None:
    python(version)(inputs)
    assert inputs.plan().ok


def test_the_first_python_that_will_do_is_chosen(inputs: Inputs) -> None:
    inputs.facts["python"] = [
        {"path": "/usr/bin/python3", "version": "3.10.1", "venv": True},
        {"path": "/usr/bin/python3.12", "version": "3.12.1", "venv": False},
        {"path": "/usr/local/bin/python3.11", "version": "3.11.9", "venv": True},
        {"path": "/opt/python3.13", "version": "3.13.1", "venv": True},
    ]
    plan = inputs.plan()
    assert plan.ok
    assert plan.python is not None
    assert plan.python["path"] == "/usr/local/bin/python3.11"


@pytest.mark.parametrize("version", ["550.54.14", "550.54.15", "550.100", "570.1"])
def test_drivers_at_or_above_the_floor_are_taken(inputs: Inputs, version: str) -> None:
    on_a_gpu(inputs)
    inputs.facts["driver"] = {"state": "injected", "version": version}
    assert inputs.plan().ok


def test_two_gpus_count_together_where_the_engine_uses_both(inputs: Inputs) -> None:
    on_a_gpu(inputs)
    large_model(inputs)
    inputs.facts["root"]["free_bytes"] = 900 * GB
    inputs.facts["gpus"] *= 2
    assert [refusal.check for refusal in inputs.plan().refusals] == ["model_fits_gpu"]
    inputs.settings["engine"] = "vllm"
    inputs.release["engines"].append({"engine": "vllm", "loaders": []})
    vllm = next(item for item in inputs.model["engines"]["can_serve"] if item["engine"] == "vllm")
    vllm["releases"] = [inputs.release["name"]]
    assert inputs.plan().refusals == ()


@pytest.mark.parametrize("prepare", [lambda inputs: None, deployed], ids=["bare", "deployed with old locks"])
def test_an_index_that_was_not_asked_is_a_note(inputs: Inputs, prepare: Callable[[Inputs], None]) -> None:
    prepare(inputs)
    inputs.facts["installed"]["environment"]["lock_sha256"] = "old"
    inputs.facts["index"] = {"reachable": None, "detail": "not asked: no pip"}
    plan = inputs.plan()
    assert plan.ok
    assert any("not asked: no pip" in note for note in plan.notes)


def test_who_fetches_elsewhere_needs_no_index(inputs: Inputs) -> None:
    inputs.facts["index"] = {"reachable": False, "detail": "Connection refused"}
    inputs.settings["indexes"] = ["find-links:/mnt/wheels"]
    assert inputs.plan().ok
    inputs.facts["index"]["reachable"] = None
    assert not any("package index" in note for note in inputs.plan().notes)
    inputs.facts["index"]["reachable"] = False
    inputs.settings["indexes"] = ["find-links:/mnt/wheels", ""]
    assert not inputs.plan().ok


def test_notes_tell_what_was_never_run_here(inputs: Inputs) -> None:
    entries("llama-3.2-90b-vision-bnb-4bit", "seed-cu124")(inputs)
    notes = " ".join(inputs.plan().notes)
    assert "release seed-cu124 was run by this project on CPUs only" in notes
    assert "was not checked here" in notes


def test_a_release_that_nobody_ran_is_noted(inputs: Inputs) -> None:
    assert not any("by this project" in note for note in inputs.plan().notes)
    inputs.release["tested_together"]["status"] = "not_run_here"
    assert "release cpu was never run by this project" in inputs.plan().notes


# --- robustness -------------------------------------------------------------------------------------------


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))


NEEDED = {
    "arch": "arch",
    "init": "init",
    "python": "python",
    "memory.available_bytes": "memory.available_bytes",
    "root.exists": "root.exists",
    "root.writable": "root.writable",
    "root.free_bytes": "root.free_bytes",
    "port.state": "port.state",
    "index": "index",
    "installed.environment.present": "installed.environment.present",
    "installed.model.complete": "installed.model.complete",
    "installed.service.state": "installed.service.state",
    "installed": "installed.environment.present",
    "root": "root.exists",
    "memory": "memory.available_bytes",
}


@pytest.mark.parametrize("value", [None, "gone", 1.5], ids=["null", "missing", "wrong type"])
@pytest.mark.parametrize("fact", NEEDED)
def test_a_fact_that_is_needed_and_not_there_is_refused_by_name(
    inputs: Inputs, fact: str, value: object
) -> None:
    *parents, last = fact.split(".")
    place = inputs.facts
    for key in parents:
        place = place[key]
    if value == "gone":
        del place[last]
    else:
        place[last] = value
    refusals = inputs.plan().refusals
    assert any(f"could not read {NEEDED[fact]}" in refusal.what for refusal in refusals), refusals


@pytest.mark.parametrize("fact", ["gpus", "driver.state", "driver.version"])
def test_gpu_facts_are_needed_for_cuda_only(inputs: Inputs, fact: str) -> None:
    def blank() -> None:
        *parents, last = fact.split(".")
        place = inputs.facts
        for key in parents:
            place = place[key]
        place[last] = None

    blank()
    assert inputs.plan().ok
    on_a_gpu(inputs)
    blank()
    refusals = inputs.plan().refusals
    assert any(f"could not read {fact}" in refusal.what for refusal in refusals), refusals


def test_a_gpu_without_a_size_is_refused_by_name(inputs: Inputs) -> None:
    on_a_gpu(inputs)
    inputs.facts["gpus"][0]["memory_bytes"] = None
    assert any("could not read gpus[0].memory_bytes" in refusal.what for refusal in inputs.plan().refusals)


@pytest.mark.parametrize("setting", ["engine", "root", "port", "desired"])
def test_a_setting_that_is_not_there_is_refused_by_name(inputs: Inputs, setting: str) -> None:
    del inputs.settings[setting]
    if setting == "port":
        inputs.facts["port"]["state"] = "taken"
    assert any(f"could not read {setting}" in refusal.what for refusal in inputs.plan().refusals)


rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
PLACES = sorted(leaves(Inputs().facts))


@settings(deadline=None, max_examples=150)
@given(
    changes=st.lists(st.tuples(st.sampled_from(PLACES), st.none() | rubbish), max_size=6),
    prepare=st.sampled_from([None, deployed, on_a_gpu]),
)
def test_any_facts_give_a_plan_and_no_traceback(changes: list[tuple[Any, Any]], prepare: Any) -> None:
    inputs = Inputs()
    if prepare:
        prepare(inputs)
    for path, value in changes:
        place: Any = inputs.facts
        for key in path[:-1]:
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = value
    plan = inputs.plan()
    assert len(plan.steps) == 4
    assert plan.as_text()
    assert json.loads(json.dumps(plan.to_dict()))["ok"] is plan.ok
    stopped = {refusal.step for refusal in plan.refusals}
    assert stopped == {step.name for step in plan.steps if step.action == "refuse"}


@settings(deadline=None, max_examples=50)
@given(given_facts=rubbish, given_settings=rubbish)
def test_rubbish_for_facts_and_settings_is_refused(given_facts: object, given_settings: object) -> None:
    whole = Inputs()
    plan = make_plan(whole.model, whole.release, given_facts, given_settings)
    assert plan.refusals
    assert plan.as_text()


# --- what people and programs see -------------------------------------------------------------------------


def test_the_dictionary_holds_steps_sums_and_refusals(inputs: Inputs) -> None:
    REFUSALS["port"][0](inputs)
    plain = json.loads(json.dumps(inputs.plan().to_dict()))
    assert plain["schema"] == 1
    assert (plain["ok"], plain["model"], plain["release"]) == (False, "canary", "cpu")
    assert plain["steps"][0] == {"name": "root", "action": "make", "why": "/srv/s does not exist yet"}
    assert plain["refusals"][0]["check"] == "port_is_free"
    assert plain["disk_bytes"] == sum(share["bytes"] for share in plain["disk"])


def test_the_table_reads_well(inputs: Inputs) -> None:
    lines = inputs.plan().as_text().splitlines()
    assert lines[0] == "Plan: canary on sightline-serve (release cpu) in /srv/s"
    assert lines[2].split() == ["step", "action", "why"]
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["root", "make"],
        ["environment", "make"],
        ["model", "make"],
        ["service", "make"],
    ]
    assert any(line.strip().startswith("disk: ") and "there is 30.0 GB" in line for line in lines)
    assert max(len(line) for line in lines) < 120


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (9_999_000, "10.0 MB"),
        (48_940_000_000, "48.9 GB"),
        (10**18, "1000 PB"),
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("3.11.2", (3, 11, 2)),
        ("3.13.0rc1", (3, 13, 0)),
        ("3.12.1+", (3, 12, 1)),
        ("", ()),
        ("x.1", ()),
        ("٣.1", ()),
    ],
)
def test_versions_are_read_by_their_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert version_tuple(version) == numbers


def test_an_empty_folder_may_become_the_root(inputs: Inputs) -> None:
    inputs.facts["root"] |= {"exists": True, "empty": True}
    assert inputs.plan().refusals == ()
