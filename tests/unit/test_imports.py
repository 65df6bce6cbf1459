"""Whether an environment can import what its release lists: on modules that import, fail, end the process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sightline_host.imports import try_imports

from sightline.catalogue import load_release
from sightline.catalogue.__main__ import main as catalogue_main
from sightline.catalogue.entries import names
from tests.unit.test_catalogue import pins_of

PROGRAM = Path(__file__).resolve().parents[2] / "plugins/module_utils/sightline_host/imports.py"
MODULES = {
    "whole_one": "",
    "lacks_a_library": "raise OSError('libcudart.so.12: cannot open shared object file\\nmore of it')",
    "ends_it": "import os; os._exit(7)",
    "talks": "print('[a banner]')",
    "wants_a_gpu": "raise NotImplementedError('cannot find any torch accelerator? You need a GPU.')",
}


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An environment's Python whose packages are those above; its torch says whether there is a GPU."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    for name, text in MODULES.items():
        (packages / f"{name}.py").write_text(text + "\n")
    gpu(packages, False)
    return str(tmp_path / "env/bin/python")


def gpu(packages: Path, there: bool) -> None:
    torch = f"class cuda:\n    @staticmethod\n    def is_available(): return {there}\n"
    (packages / "torch.py").write_text(torch)


def test_each_module_is_told_by_itself(python: str) -> None:
    found = {one.module: one for one in try_imports(python, list(MODULES)[:4], ["wants_a_gpu"])}
    assert [found[name].trouble for name in ("whole_one", "talks")] == ["", ""]
    assert found["lacks_a_library"].trouble == "OSError: libcudart.so.12: cannot open shared object file"
    assert found["ends_it"].trouble == "the process ended with code 7"
    assert {name for name, one in found.items() if not one.right} == {"lacks_a_library", "ends_it"}
    assert "You need a GPU" in found["wants_a_gpu"].trouble


def test_with_a_gpu_none_may_fail(python: str) -> None:
    (packages,) = Path(python).parents[1].glob("lib/python*/site-packages")
    gpu(packages, True)
    (found,) = try_imports(python, [], ["wants_a_gpu"])
    assert not found.right


def test_a_hosts_python_runs_it_from_standard_input(python: str) -> None:
    def ended(*words: str) -> subprocess.CompletedProcess[str]:
        with PROGRAM.open() as program:
            return subprocess.run(
                [python, "-I", "-", *words], stdin=program, capture_output=True, text=True
            )  # fmt: skip

    right = ended("whole_one", "--gpu", "wants_a_gpu")
    assert right.returncode == 0
    assert "not imported (it needs a GPU, and there is none): NotImplementedError" in right.stdout
    assert ended("whole_one", "lacks_a_library").returncode == 1


def test_the_command_takes_the_list_from_the_release(
    python: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    listed: dict[str, Any] = {
        "imports": [{"module": "whole_one"}, {"module": "wants_a_gpu", "needs_gpu": True}]
    }
    monkeypatch.setattr("sightline.catalogue.__main__.load_release", lambda _: listed)
    assert catalogue_main(["imports", "seed-cu124", "--python", python, "--json"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(one["module"], one["needs_gpu"]) for one in told] == [
        ("whole_one", False),
        ("wants_a_gpu", True),
    ]
    listed["imports"].append({"module": "lacks_a_library"})
    assert catalogue_main(["imports", "seed-cu124", "--python", python]) == 1
    assert catalogue_main(["imports", "seed-cu124", "--python", python + "-not"]) == 2
    assert "name an environment's bin/python" in capfd.readouterr().err
    del listed["imports"]
    assert catalogue_main(["imports", "seed-cu124", "--python", python]) == 2


@pytest.mark.parametrize("name", names("release"))
def test_what_is_listed_is_in_the_locks(name: str) -> None:
    release = load_release(name)
    pinned = {re.sub(r"[-_.]+", "-", package) for package in pins_of(release)}
    assert {one["module"].partition(".")[0].replace("_", "-") for one in release.get("imports", [])} <= pinned
