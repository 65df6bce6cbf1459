"""Which loader the server is told, and the code of a model's own that runs only if a person named it."""

from __future__ import annotations

import copy
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.catalogue import load_model, load_release
from sightline.plan import make_plan
from sightline.plan.loader import code_sha256, loader_words
from sightline.plan.release import choose_release, releases_of
from sightline.plan.situation import Situation
from sightline.preparing import prepare
from tests.unit.test_plan import GB, Inputs
from tests.unit.test_preparing import host

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "inventory/examples/phi3/hosts.yml"
CODE = {
    "configuration_phi3_v.py": "one = 1\n",
    "image_embedding_phi3_v.py": "two = 2\n",
    "image_processing_phi3_v.py": "three = 3\n",
    "modeling_phi3_v.py": "four = 4\n",
    "processing_phi3_v.py": "five = 5\n",
}


def whole_phi3() -> dict[str, Any]:
    """The catalogue's entry as it would be once somebody who reaches the hub has completed it."""
    model = copy.deepcopy(load_model("phi-3-vision-128k"))
    for file in model["files"]:
        content = CODE.get(file["path"], file["path"]).encode()
        file["size"] = file["size"] or file.pop("approx_size", None) or len(content)
        file["sha256"] = hashlib.sha256(content).hexdigest()
    for group in ("file_list", "file_sizes", "file_hashes"):
        model["provenance"][group] = {"status": "stated", "source": "a test"}
    return model


@pytest.fixture
def said_by_the_shell(tmp_path: Path) -> str:
    """What the command of the documentation prints in a folder with that code."""
    for name, content in CODE.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "config.json").write_text("{}")
    command = "LC_ALL=C sha256sum *.py | sha256sum"
    said = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    return said.stdout.split()[0]


def on_cpu(trust_code: str = "") -> Inputs:
    inputs = Inputs()
    inputs.model, inputs.release = whole_phi3(), load_release("phi3-cpu")
    inputs.facts["memory"] = {"total_bytes": 64 * GB, "available_bytes": 60 * GB}
    inputs.settings["trust_code"] = trust_code
    return inputs


def refusals(inputs: Inputs) -> dict[str, str]:
    return {one.check: f"{one.what}; {one.remedy}" for one in inputs.plan().refusals}


def words(inputs: Inputs) -> list[str]:
    return loader_words(Situation(inputs.model, inputs.release, inputs.facts, inputs.settings))


def test_code_that_nobody_named_is_refused_with_the_word_that_would_name_it(said_by_the_shell: str) -> None:
    refused = refusals(on_cpu())
    assert list(refused) == ["code_is_trusted"]
    assert f"if you trust them, set sightline_trust_code={said_by_the_shell}" in refused["code_is_trusted"]
    assert "microsoft/Phi-3-vision-128k-instruct at commit c45209e9" in refused["code_is_trusted"]


def test_code_that_was_named_is_told_the_server(said_by_the_shell: str) -> None:
    inputs = on_cpu(said_by_the_shell)
    assert inputs.plan().refusals == ()
    assert words(inputs) == ["--loader", "phi3", "--trust-code", said_by_the_shell]


@pytest.mark.parametrize(
    ("given", "why"),
    [("a" * 64, "names other code than that of"), ("A" * 64, "no sha256"), ("abc", "no sha256")],
)
def test_another_word_is_refused_before_anything_is_fetched(given: str, why: str) -> None:
    assert why in refusals(on_cpu(given))["code_is_trusted"]


def test_where_the_hashes_are_not_known_the_plan_says_how_to_get_it() -> None:
    inputs = on_cpu()
    inputs.model = load_model("phi-3-vision-128k")
    assert code_sha256(inputs.model) is None
    refused = refusals(inputs)
    assert "LC_ALL=C sha256sum *.py | sha256sum" in refused["code_is_trusted"]
    assert "model_is_pinned" in refused


def test_the_loader_is_part_of_the_release_and_the_usual_one_needs_no_word() -> None:
    def made(name: str, release: str, **more: Any) -> Any:
        start = {"engine": "sightline-serve", "user": "root", "manager": "systemd", "port": 8642}
        wanted = {"engine": "sightline-serve", "root": "/srv/s", "port": 8642, "start": start, **more}
        model = whole_phi3() if name.startswith("phi") else load_model(name)
        return prepare(model, load_release(release), {"host": host(Inputs()), **wanted})

    assert made("canary", "cpu").words == []
    assert made("canary", "seed-cu124").words == []
    assert made("llama-3.2-11b-vision-bnb-4bit", "seed-cu124").words == ["--loader", "unsloth"]
    one, other = (made("phi-3-vision-128k", "phi3-cpu", trust_code=code * 64) for code in "ab")
    assert one.words == ["--loader", "phi3", "--trust-code", "a" * 64]
    assert one.layout.release_id != other.layout.release_id


def test_another_engine_is_told_no_loader() -> None:
    inputs = on_cpu("a" * 64)
    inputs.settings["engine"] = "llamacpp"
    assert words(inputs) == []


def test_the_example_goes_together(said_by_the_shell: str) -> None:
    """Its model in its release, on a card for which that is made; what it leaves to the person is refused."""
    (given,) = yaml.safe_load(EXAMPLE.read_text())["sightline"]["hosts"].values()
    inputs = Inputs()
    inputs.model = whole_phi3()
    assert given["sightline_model"] == inputs.model["name"]
    inputs.facts["gpus"] = [{"name": "NVIDIA L4", "memory_bytes": 24 * GB, "uuid": "GPU-1"}]
    inputs.facts["driver"] = {"state": "installed", "version": "550.54.14"}
    inputs.facts["python"] = [{"path": "/usr/bin/python3.12", "version": "3.12.3", "venv": True}]
    served_by = releases_of(inputs.model, "sightline-serve")
    chosen, _ = choose_release("auto", "auto", inputs.facts, "sightline-serve", served_by)
    inputs.release = load_release(chosen)
    inputs.settings["trust_code"] = given["sightline_trust_code"]
    assert list(refusals(inputs)) == ["code_is_trusted"]
    inputs.settings["trust_code"] = said_by_the_shell
    plan = make_plan(inputs.model, inputs.release, inputs.facts, inputs.settings)
    assert plan.refusals == ()
    assert "release phi3-cu124 was never run by this project" in plan.notes
