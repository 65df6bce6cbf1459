"""From the probe's facts to what a plan is made from: an environment is named after what it stands on."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from sightline.catalogue import load_model, load_release
from sightline.plan import make_plan
from sightline.preparing import Prepared, prepare
from tests.unit.test_plan import Inputs
from tests.unit.test_plan_python import IMAGE, LIBRARIES, seed

LOCKED = {
    "nvidia-cublas-cu12": "12.4.5.8",
    "nvidia-cuda-cupti-cu12": "12.4.127",
    "nvidia-cuda-nvrtc-cu12": "12.4.127",
    "nvidia-cuda-runtime-cu12": "12.4.127",
    "nvidia-cudnn-cu12": "9.1.0.70",
    "nvidia-cufft-cu12": "11.2.1.3",
    "nvidia-curand-cu12": "10.3.5.147",
    "nvidia-cusolver-cu12": "11.6.1.9",
    "nvidia-cusparse-cu12": "12.3.1.170",
    "nvidia-nccl-cu12": "2.21.5",
    "nvidia-nvjitlink-cu12": "12.4.127",
    "nvidia-nvtx-cu12": "12.4.127",
}
WHOLE_IMAGE = IMAGE | {"libraries": LOCKED}


def host(inputs: Inputs, **installed: Any) -> dict[str, Any]:
    """Facts as the probe gives them: everything that is installed, by path."""
    nothing = {
        "environments": {},
        "models": {},
        "release": {"path": None, "fingerprint": None},
        "key": {"present": False},
        "service": {"state": "absent", "manager": None, "fingerprint": None, "release": None},
    }
    clock = {"epoch": int(time.time())}
    return copy.deepcopy(inputs.facts) | {"installed": nothing | installed, "clock": clock}


def ready(
    facts: dict[str, Any], release: str = "seed-cu124", fetch: dict[str, Any] | None = None, **python: Any
) -> Prepared:
    start = {"user": "root", "manager": "systemd", "port": 8642}
    wanted = {
        "host": facts, "engine": "sightline-serve", "root": "/srv/s", "port": "8642", "start": start,
        "python": python, "fetch": fetch or {},
    }  # fmt: skip
    return prepare(load_model("canary"), load_release(release), wanted)


def stamp(made: Prepared) -> dict[str, dict[str, str]]:
    """What the probe finds once this environment was built."""
    return {made.layout.environment: {lock.name: lock.sha256 for lock in made.layout.locks}}


def test_a_host_that_lacks_the_python_is_asked_whether_it_reaches_one() -> None:
    inputs = seed()
    made = ready(host(inputs))
    assert made.adopted is None
    assert all("python-build-standalone" in address for address in made.ask)
    assert made.ask
    mirror = ready(host(inputs), mirror="file:///mnt/pythons")
    assert [address.partition("/2")[0] for address in mirror.ask] == ["file:///mnt/pythons"]
    # Once the environment is there, nobody is asked.
    assert ready(host(inputs, environments=stamp(made))).ask == []


def test_what_the_probe_saw_of_models_is_narrowed_to_the_wanted_one() -> None:
    """Whole, begun, and those that are to go: of these the disk counts as free."""
    inputs = Inputs()
    wanted = ready(host(inputs), release="cpu").layout
    begun = {"fingerprint": None, "disk_bytes": 7, "there_bytes": 3}
    others = {"/srv/s/models/old-000000000000": begun, "/srv/s/models/old-one-000000000000": begun}
    made = ready(
        host(inputs, models={wanted.model: begun, **others}), release="cpu", fetch={"absent": ["old"]}
    )
    assert made.facts["installed"]["model"] == {
        "name": "canary", "complete": False, "fingerprint": None, "disk_bytes": 7, "there_bytes": 3,
    }  # fmt: skip
    assert made.facts["installed"]["freed_bytes"] == 7
    whole = begun | {"fingerprint": wanted.model_fingerprint}
    made = ready(host(inputs, models={wanted.model: whole}), release="cpu")
    plan = make_plan(made.model, made.release, made.facts, made.settings)
    assert {step.name: step.action for step in plan.steps}["model"] == "keep"


def test_to_fetch_only_nobody_is_asked_about_a_python() -> None:
    made = ready(host(seed()), fetch={"only": True, "sources": ["https://h"]})
    assert made.ask == []
    plan = make_plan(made.model, made.release, made.facts, made.settings)
    assert plan.ok
    assert [step.name for step in plan.steps] == ["root", "model"]


def test_a_host_with_a_python_is_not_asked() -> None:
    assert ready(host(Inputs()), release="cpu").ask == []


def test_an_image_is_another_environment_and_nobody_is_asked() -> None:
    inputs = seed(torch=[WHOLE_IMAGE])
    own, adopted = ready(host(inputs), env="own"), ready(host(inputs))
    assert own.adopted is None
    assert adopted.adopted == WHOLE_IMAGE["packages"]
    assert adopted.layout.environment != own.layout.environment
    assert adopted.layout.release_id != own.layout.release_id
    assert adopted.ask == []
    desired = adopted.settings["desired"]
    assert desired["environment_lock_sha256"] == adopted.layout.environment_digest
    plan = make_plan(adopted.model, adopted.release, adopted.facts, adopted.settings)
    assert plan.python is not None
    assert plan.python["source"] == "adopted"


def test_the_locks_libraries_are_held_against_the_images() -> None:
    """An image with only some of them, or others, is not built on."""
    assert ready(host(seed())).settings["libraries"] == LOCKED
    assert ready(host(seed(torch=[IMAGE | {"libraries": LIBRARIES}]))).adopted is None


def test_an_environment_of_its_own_that_is_whole_is_kept_whatever_image_is_found() -> None:
    inputs = seed(torch=[WHOLE_IMAGE])
    own = ready(host(inputs), env="own")
    there = host(inputs, environments=stamp(own))

    assert ready(there).layout == own.layout
    assert ready(there, env="adopt").layout != own.layout
    stale = {own.layout.environment: {"pip": "0" * 64}}
    assert ready(host(inputs, environments=stale)).adopted is not None


def test_an_adopted_environment_is_kept_as_long_as_its_image_is_the_same() -> None:
    inputs = seed(torch=[WHOLE_IMAGE])
    made = ready(host(inputs))
    there = host(inputs, environments=stamp(made))
    plan = make_plan(made.model, made.release, ready(there).facts, ready(there).settings)
    assert {step.name: step.action for step in plan.steps}["environment"] == "keep"

    there["torch"] = [WHOLE_IMAGE | {"version": "2.5.1"}]
    again = ready(there)
    assert again.layout.environment != made.layout.environment
    assert again.facts["installed"]["environment"]["lock_sha256"] is None


@pytest.mark.parametrize(
    ("key", "value"), [("indexes", ["https://m/simple"]), ("torch_indexes", ["find-links:/m"])]
)
def test_indexes_reach_the_locks(key: str, value: list[str]) -> None:
    locks = ready(host(seed()), **{key: value}).layout.locks
    assert all(value[0] in lock.indexes for lock in locks if lock.torch or key == "indexes")
    assert {lock.sha256 for lock in locks} == {lock.sha256 for lock in ready(host(seed())).layout.locks}
