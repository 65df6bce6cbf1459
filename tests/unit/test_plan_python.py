"""The plan's Python: one that brings PyTorch, one that is there, one that must come; and the device."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.catalogue import load_release
from sightline.plan import Plan, python_to_fetch
from sightline.plan.situation import Situation
from sightline.pythons import addresses, key, locked_builds
from tests.unit.test_plan import GB, Inputs, on_a_gpu

LIBRARIES = {"nvidia-cublas-cu12": "12.4.5.8", "nvidia-cudnn-cu12": "9.1.0.70"}
IMAGE = {
    "prefix": "/venv/main",
    "python": "/venv/main/bin/python3.12",
    "python_version": "3.12.3",
    "kind": "venv",
    "packages": "/venv/main/lib/python3.12/site-packages",
    "version": "2.5.1+cu124",
    "cuda": "12.4",
    "cudnn": {"version": "9.1.0.70", "from": "wheel"},
    "libraries": LIBRARIES,
    "venv": True,
}
CONDA = IMAGE | {
    "prefix": "/opt/conda",
    "python": "/opt/conda/bin/python3.12",
    "kind": "conda",
    "packages": "/opt/conda/lib/python3.12/site-packages",
    "version": "2.5.1",
    "cudnn": {"version": "9.1.0", "from": "conda"},
    "libraries": {},
}


def seed(**facts: Any) -> Inputs:
    """The seed stack for the canary on a host with a GPU, on Debian 13: it has Python 3.13 only."""
    inputs = Inputs()
    inputs.release = copy.deepcopy(load_release("seed-cu124"))
    inputs.release["lock_files"] = inputs.release["lock_files"] or ["requirements/engine-cu124.lock.txt"]
    inputs.release["disk"] = {"environment_bytes": 7 * GB, "download_bytes": 3 * GB}
    inputs.release["memory"]["process_bytes"] = 900_000_000
    inputs.release["provenance"]["disk"] = {"status": "stated", "source": "a test"}
    inputs.release["provenance"]["memory"] = {"status": "stated", "source": "a test"}
    inputs.model["engines"]["can_serve"][0]["releases"] = ["cpu", "seed-cu124"]
    gpu = Inputs()
    on_a_gpu(gpu)
    inputs.facts |= {key: gpu.facts[key] for key in ("gpus", "driver")}
    inputs.facts |= {
        "uid": 0,
        "user": "root",
        "distribution": {"id": "debian", "version": "13"},
        "packages": {"manager": "dpkg", "lock": {"held": False, "holder": None}},
        "python": [{"path": "/usr/bin/python3", "version": "3.13.5", "venv": False}],
        "torch": [],
    }
    inputs.facts |= facts
    inputs.settings |= {"python_builds": locked_builds(), "libraries": LIBRARIES}
    return inputs


def chosen(inputs: Inputs) -> tuple[str, str]:
    """How the Python comes, and its path; ("", "") where none will do."""
    plan = inputs.plan()
    return (plan.python["source"], plan.python["path"]) if plan.python else ("", "")


def refusal(plan: Plan, check: str) -> str:
    """What the only refusal says: it is that of `check`."""
    assert [found.check for found in plan.refusals] == [check], plan.refusals
    found = plan.refusals[0]
    return f"{found.what} | {found.why} | {found.remedy}"


# --- a Python that brings PyTorch -------------------------------------------------------------------------


@pytest.mark.parametrize("image", [IMAGE, CONDA], ids=["wheels in a venv", "conda's own libraries"])
def test_an_image_with_the_releases_pytorch_is_built_on(image: dict[str, Any]) -> None:
    inputs = seed(torch=[image])
    plan = inputs.plan()

    assert plan.ok
    assert chosen(inputs) == ("adopted", image["python"])
    assert plan.python is not None
    assert plan.python["base"] == {
        "packages": image["packages"],
        "kind": image["kind"],
        "torch": image["version"],
    }
    assert any("brings PyTorch 2.5.1" in note and "only what is missing" in note for note in plan.notes)


def but(**differing: Any) -> dict[str, Any]:
    return IMAGE | differing


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "torch": (but(version="2.6.0+cu124"), "it is 2.6.0+cu124, the release has 2.5.1"),
    "CUDA": (but(cuda="12.1"), "built for CUDA 12.1, not for CUDA 12.4"),
    "a CPU build": (but(cuda=None), "built for CPUs only"),
    "cuDNN": (but(cudnn={"version": "9.5.1.17", "from": "wheel"}), "cuDNN is 9.5.1.17, not 9.1.0.70"),
    "no cuDNN": (but(cudnn=None), "cuDNN is not to be found"),
    "cuDNN, too short to tell": (but(cudnn={"version": "9", "from": "bundled"}), "cuDNN is 9, not"),
    "a library": (
        but(libraries=LIBRARIES | {"nvidia-cublas-cu12": "12.6.4.1"}),
        "it has nvidia-cublas-cu12 12.6.4.1, the lock says 12.4.5.8",
    ),
    "a library gone": (but(libraries={"nvidia-cudnn-cu12": "9.1.0.70"}), "nvidia-cublas-cu12 not, the lock"),
    "Python": (but(python_version="3.11.9"), "for Python 3.11.9, the release takes >= 3.12, < 3.13"),
    "no interpreter": (but(python=None), "its interpreter was not found"),
    "no venv": (but(venv=False), "/venv/main/bin/python3.12 cannot make environments"),
    "nonsense": (but(version=None), "it is ?"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_pytorch_that_differs_is_not_built_on_and_the_plan_says_why(case: str) -> None:
    image, why = UNFIT[case]
    inputs = seed(torch=[image])
    plan = inputs.plan()

    assert chosen(inputs)[0] == "managed"
    assert any(f"PyTorch in {image['prefix']} is not used: " in note and why in note for note in plan.notes)

    inputs.settings["python_env"] = "adopt"
    said = refusal(inputs.plan(), "one_is_adopted")
    assert why in said
    assert "PyTorch 2.5.1, CUDA 12.4, cuDNN 9.1.0.70" in said
    assert "sightline_python_env=own" in said


def test_the_first_that_fits_is_taken_and_those_before_are_told() -> None:
    inputs = seed(torch=[UNFIT["CUDA"][0], CONDA, IMAGE])
    assert chosen(inputs) == ("adopted", CONDA["python"])
    assert sum("is not used" in note for note in inputs.plan().notes) == 1


def test_own_looks_at_no_image() -> None:
    inputs = seed(torch=[IMAGE, UNFIT["CUDA"][0]])
    inputs.settings["python_env"] = "own"
    assert chosen(inputs)[0] == "managed"
    assert not any("PyTorch in" in note for note in inputs.plan().notes)


def test_who_names_an_interpreter_gets_that_one_unless_he_asks_for_the_image() -> None:
    named = {"path": "/opt/p/bin/python3.12", "version": "3.12.1", "venv": True}
    inputs = seed(torch=[IMAGE], python=[named])
    inputs.settings["pythons_named"] = True
    assert chosen(inputs) == ("found", "/opt/p/bin/python3.12")
    inputs.settings["python_env"] = "adopt"
    assert chosen(inputs) == ("adopted", IMAGE["python"])


def test_where_none_is_found_adopt_is_refused_and_auto_is_not() -> None:
    inputs = seed()
    assert inputs.plan().ok
    inputs.settings["python_env"] = "adopt"
    assert "none was found" in refusal(inputs.plan(), "one_is_adopted")


def test_a_cpu_release_is_built_on_an_image_only_when_that_is_asked_for() -> None:
    """Its own environment is small; and the host's torch may be anybody's."""
    inputs = Inputs()
    image = but(
        version="2.13.0+cpu",
        cuda=None,
        cudnn=None,
        libraries={},
        packages="/opt/t/lib/python3.12/site-packages",
    )
    inputs.facts["torch"] = [image]
    assert chosen(inputs) == ("found", "/usr/bin/python3")
    inputs.settings["python_env"] = "adopt"
    assert chosen(inputs) == ("adopted", image["python"])
    inputs.facts["torch"] = [image | {"cuda": "12.4"}]
    assert "built for CUDA 12.4, not for CPUs only" in refusal(inputs.plan(), "one_is_adopted")


def test_a_deployed_host_is_not_asked_for_an_image() -> None:
    inputs = seed()
    inputs.settings["python_env"] = "adopt"
    inputs.facts["installed"]["environment"] = {"present": True, "lock_sha256": "lock"}
    plan = inputs.plan()
    assert plan.ok
    assert plan.python is None


@pytest.mark.parametrize(
    ("service", "root", "why"),
    [
        ({"user": "sightline", "manager": "systemd"}, "/opt/sightline", "user sightline could not read"),
        ({"user": "root", "manager": "systemd"}, "/opt/sightline", "its unit sees nothing below 'root'"),
        ({"user": "root", "manager": "systemd"}, "/root/sightline", None),
        ({"user": "root", "manager": "supervisor"}, "/opt/sightline", None),
    ],
)
def test_a_python_that_the_service_could_not_see_is_not_built_on(
    service: dict[str, str], root: str, why: str | None
) -> None:
    image = but(packages="/root/miniconda3/lib/python3.12/site-packages")
    inputs = seed(torch=[image])
    inputs.settings |= {"service": service, "root": root}
    plan = inputs.plan()
    assert chosen(inputs)[0] == ("managed" if why else "adopted")
    assert any(why in note for note in plan.notes) if why else True


def test_what_an_adopted_environment_takes_is_counted_where_it_is_known() -> None:
    inputs = seed(torch=[IMAGE])
    full = inputs.plan()
    assert full.disk[0].bytes == 7 * GB
    assert "its wheels meanwhile" not in {share.what for share in full.disk}
    assert [share.what for share in full.fetch] == ["model"]
    inputs.release["disk"]["without_torch"] = {"environment_bytes": GB, "download_bytes": 200_000_000}
    less = inputs.plan()
    assert less.ok
    assert [share.bytes for share in less.disk[:2]] == [GB, 200_000_000]
    assert less.fetch[0].bytes == 200_000_000
    inputs.facts["root"]["free_bytes"] = 3 * GB
    assert inputs.plan().ok
    inputs.settings["python_env"] = "own"
    assert not inputs.plan().ok


# --- a Python that must come ------------------------------------------------------------------------------


def test_the_distributions_venv_module_is_installed_for_its_python() -> None:
    inputs = seed(python=[{"path": "/usr/bin/python3", "version": "3.12.3", "venv": False}])
    inputs.facts["distribution"] = {"id": "ubuntu", "version": "24.04"}
    plan = inputs.plan()
    assert plan.ok
    assert chosen(inputs) == ("packages", "/usr/bin/python3")
    assert plan.python is not None
    assert plan.python["packages"] == ["python3.12-venv"]
    assert any("installs python3.12-venv" in note for note in plan.notes)


def test_the_distributions_own_python_comes_before_one_that_uv_brings() -> None:
    """As Ubuntu 22.04 has 3.11 beside its python3."""
    inputs = Inputs()
    inputs.facts |= {
        "uid": 0,
        "distribution": {"id": "ubuntu", "version": "22.04"},
        "python": [{"path": "/usr/bin/python3", "version": "3.10.12", "venv": False}],
        "packages": {"manager": "dpkg", "lock": {"held": False, "holder": None}},
    }
    inputs.settings["python_builds"] = locked_builds()
    plan = inputs.plan()
    assert chosen(inputs) == ("packages", "/usr/bin/python3.11")
    assert plan.python is not None
    assert plan.python["packages"] == ["python3.11", "python3.11-venv"]


def test_uv_brings_what_the_distribution_does_not_have() -> None:
    """Debian 13 has 3.13. uv itself is fetched with that, for which it needs its venv module."""
    inputs = seed()
    plan = inputs.plan()
    build = locked_builds()["3.12"]
    assert plan.ok
    assert plan.python == {
        "path": f"/srv/s/python/cpython-{build['version']}-linux-x86_64-gnu/bin/python3.12",
        "version": build["version"],
        "source": "managed",
        "packages": ["python3.13-venv"],
        "helper": "/usr/bin/python3",
        "base": {},
    }
    inputs.facts["python"][0]["venv"] = True
    plan = inputs.plan()
    assert plan.python is not None
    assert plan.python["packages"] == []


def test_without_root_uv_needs_a_python_that_can_fetch_it() -> None:
    inputs = seed(uid=1000)
    assert "the host has Python 3.13.5" in refusal(inputs.plan(), "python_fits")
    inputs.facts["python"][0]["venv"] = True
    assert chosen(inputs)[0] == "managed"


def test_a_list_of_ones_own_may_have_any_patch_release() -> None:
    inputs = seed()
    inputs.settings["python_list"] = "file:///srv/pythons.json"
    assert chosen(inputs) == ("managed", "/srv/s/python/cpython-3.12-linux-x86_64-gnu/bin/python3.12")
    assert asked(inputs) == ["file:///srv/pythons.json"]


def asked(inputs: Inputs) -> list[str]:
    return python_to_fetch(Situation(inputs.model, inputs.release, inputs.facts, inputs.settings))


def test_the_mirror_is_asked_for_the_very_file_and_only_when_one_is_needed() -> None:
    inputs = seed()
    build = locked_builds()["3.12"]
    name = f"{build['build']}/cpython-{build['version']}%2B{build['build']}-x86_64-unknown-linux-gnu"
    assert len(asked(inputs)) == 2
    inputs.settings["python_mirror"] = "https://mirror.example/pythons/"
    assert asked(inputs) == [f"https://mirror.example/pythons/{name}-install_only_stripped.tar.gz"]
    inputs.facts["distribution"] = {"id": "ubuntu", "version": "24.04"}
    assert asked(inputs) == []


def test_a_source_that_does_not_answer_is_refused_with_the_alternatives() -> None:
    inputs = seed(python_source={"reachable": False, "detail": "https://x: Name or service not known"})
    said = refusal(inputs.plan(), "python_fits")
    assert "Python 3.13.5" in said
    assert "does not answer (https://x: Name or service not known)" in said
    assert "release seed-cu124 takes Python >= 3.12, < 3.13" in said
    for way in ("sightline_pythons", "sightline_python_mirror", "sightline_python_repository", "PyTorch"):
        assert way in said
    inputs.facts |= {"uid": 1000, "python": [{"path": "/usr/bin/python3", "version": "3.13.5", "venv": True}]}
    assert "sightline_python_repository" not in refusal(inputs.plan(), "python_fits")


def test_a_repository_that_is_named_comes_before_uv_and_after_the_distribution() -> None:
    """As deadsnakes for Ubuntu."""
    inputs = seed()
    inputs.facts["distribution"] = {"id": "ubuntu", "version": "22.04"}
    inputs.settings["python_repository"] = {"name": "deadsnakes", "uri": "https://mirror.example/deadsnakes"}
    plan = inputs.plan()
    assert plan.python is not None
    assert chosen(inputs) == ("repository", "/usr/bin/python3.12")
    assert plan.python["packages"] == ["python3.12", "python3.12-venv"]
    assert asked(inputs) == []
    inputs.facts["distribution"]["version"] = "24.04"
    assert chosen(inputs)[0] == "packages"
    inputs.settings["python_source"] = "repository"
    assert chosen(inputs)[0] == "repository"
    inputs.facts["uid"] = 1000
    assert chosen(inputs) == ("", "")
    inputs.settings["python_source"] = "uv"
    inputs.facts["uid"] = 0
    assert chosen(inputs)[0] == "managed"


def test_interpreters_that_are_named_are_the_only_ones() -> None:
    inputs = seed()
    inputs.settings["pythons_named"] = True
    said = refusal(inputs.plan(), "python_fits")
    assert "sightline_pythons" in said
    assert "mirror" not in said
    assert asked(inputs) == []


def test_a_source_that_is_asked_for_goes_before_what_is_there() -> None:
    inputs = seed(python=[{"path": "/usr/bin/python3.12", "version": "3.12.3", "venv": True}])
    assert chosen(inputs)[0] == "found"
    inputs.settings["python_source"] = "uv"
    assert chosen(inputs)[0] == "managed"


def test_packages_wait_for_nobody_who_installs_just_now() -> None:
    inputs = seed()
    inputs.facts["packages"]["lock"] = {"held": True, "holder": "apt-get (pid 7)"}
    assert "apt-get (pid 7) holds the lock" in refusal(inputs.plan(), "packages_can_come")
    inputs.facts["python"][0]["venv"] = True
    assert inputs.plan().ok


@pytest.mark.parametrize("change", [{"arch": "ppc64le"}, {"python": [{"path": "/usr/bin/python3",
    "version": "3.9.2", "venv": True}]}], ids=["no build for it", "too old for pip"])  # fmt: skip
def test_uv_is_no_way_where_it_cannot_work(change: dict[str, Any]) -> None:
    inputs = seed(**change)
    assert chosen(inputs) == ("", "")
    assert "python_fits" in {found.check for found in inputs.plan().refusals}


def test_the_locked_builds_are_those_that_the_locked_uv_brings() -> None:
    """If this fails after a newer uv: write what it says into requirements/pythons.lock.json."""
    uv = Path(sys.executable).with_name("uv")
    assert uv.exists(), "uv is among the packages of .venv/dev"
    for minor, build in locked_builds().items():
        for arch in ("x86_64", "aarch64"):
            listed = subprocess.run(
                [uv, "python", "list", "--no-config", "--only-downloads", "--output-format", "json",
                 f"cpython-{minor}-linux-{arch}-gnu"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            (found,) = json.loads(listed.stdout)
            assert found["key"] == key(build["version"], arch)
            assert found["url"] == addresses(build, arch, "")[0]
    version = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert f"uv=={version} " in Path("requirements/uv.lock.txt").read_text()
    assert shutil.which(str(uv))


# --- what it computes on ----------------------------------------------------------------------------------


def test_a_release_for_gpus_computes_on_the_cpu_only_when_asked() -> None:
    inputs = seed(gpus=[], driver={"state": "absent", "version": None})
    assert "sightline_device=cpu" in refusal(inputs.plan(), "gpu_is_there")
    gpu_memory = inputs.plan().memory_bytes
    inputs.settings["device"] = "cpu"
    plan = inputs.plan()
    assert plan.ok
    assert any("computes on the CPU" in note for note in plan.notes)
    # Now the weights lie in main memory, where they are widened.
    assert plan.memory_bytes == gpu_memory + 8_000_000


def without_needing(inputs: Inputs) -> None:
    inputs.model["engines"]["can_serve"][0]["needs_gpu"] = True


IMPOSSIBLE: dict[str, tuple[str, Callable[[Inputs], None], str]] = {
    "a model that needs a GPU": ("cpu", without_needing, "canary in release seed-cu124 needs a GPU"),
    "no such device": ("tpu", lambda inputs: None, "there is no device 'tpu'"),
    "a release without CUDA": (
        "cuda",
        lambda inputs: setattr(inputs, "release", Inputs().release),
        "release cpu has no CUDA",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_it_cannot_compute_on_is_refused(case: str) -> None:
    device, change, said = IMPOSSIBLE[case]
    inputs = seed(python=[{"path": "/usr/bin/python3.12", "version": "3.12.3", "venv": True}])
    change(inputs)
    assert inputs.plan().ok
    inputs.settings["device"] = device
    assert said in refusal(inputs.plan(), "device_is_possible")
