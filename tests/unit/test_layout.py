"""The layout: everything is named after its content, so each difference that matters is another name."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sightline import layout
from sightline.catalogue import load_release
from sightline.layout import (
    CHECKOUT,
    KIT_FOLDERS,
    SERVERS,
    Indexes,
    Layout,
    digest,
    holds,
    lay_out,
    libraries,
    read_locks,
)

PACKAGE = SERVERS["sightline-serve"].package
START = {
    "engine": "sightline-serve",
    "bind": "127.0.0.1",
    "port": 8642,
    "user": "root",
    "options": ["--max-images", "4"],
}
FILES = [{"path": "config.json", "size": 2, "sha256": "0" * 64}]
MODEL = {"name": "canary", "source": {"path": "canary/weights"}, "files": FILES}
HUB_MODEL = {"name": "llava", "source": {"repo": "somebody/llava"}, "files": FILES}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, with this one's kit and locks and a small model."""
    folder = tmp_path / "checkout"
    packages = {name for server in SERVERS.values() for name in (server.package, server.shared) if name}
    for name in (*KIT_FOLDERS, *packages, "requirements"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "canary/weights").mkdir(parents=True)
    (folder / "canary/weights/config.json").write_text("{}")
    monkeypatch.setattr(layout, "CHECKOUT", folder)
    return folder


def made(
    root: str = "/opt/sightline",
    model: dict[str, Any] = MODEL,
    indexes: Indexes | None = None,
    base: dict[str, str] | None = None,
    **start: object,
) -> Layout:
    return lay_out(root, model, load_release("cpu"), START | start, indexes, base)


def test_the_same_inputs_have_the_same_names(checkout: Path) -> None:
    before = made()
    # What tests and editors leave behind is no part of the kit.
    (checkout / PACKAGE / "__pycache__").mkdir()
    (checkout / PACKAGE / "__pycache__/api.cpython-311.pyc").write_text("x")
    reordered = dict(reversed(START.items()))

    assert made() == before
    assert lay_out("/opt/sightline", MODEL, load_release("cpu"), reordered) == before


def test_another_engine_is_another_release_and_its_package_counts_alone(checkout: Path) -> None:
    ours, other = made(), made(engine="llamacpp")
    assert ours.release_id != other.release_id

    append(checkout / SERVERS["llamacpp"].package / "server.py")

    assert made() == ours
    changed = made(engine="llamacpp")
    assert changed.release_id != other.release_id

    append(checkout / SERVERS["llamacpp"].shared / "keys.py")

    assert made() == ours
    assert made(engine="llamacpp").release_id != changed.release_id


def test_another_root_moves_the_paths_and_nothing_else(checkout: Path) -> None:
    here, there = made("/opt/sightline").to_dict(), made("/workspace/x").to_dict()

    assert here["release_id"] == there["release_id"]
    assert json.loads(json.dumps(here).replace("/opt/sightline", "/workspace/x")) == there
    assert here != there


def test_the_paths_are_those_that_everyone_else_uses(checkout: Path) -> None:
    found = made()
    plain = found.to_dict()

    assert plain["release"] == f"/opt/sightline/releases/{found.release_id}"
    assert plain["current"] == "/opt/sightline/current"
    assert plain["key"] == "/opt/sightline/secrets/api_key"
    assert plain["environment"] == f"/opt/sightline/env/cpu-{found.environment_digest[:12]}"
    assert plain["model"] == f"/opt/sightline/models/canary-{found.model_fingerprint[:12]}"
    assert plain["model_source"] == str(checkout / "canary/weights")
    assert len(found.release_id) == 12
    assert plain == json.loads(json.dumps(plain)), "plain JSON values only"


def append(file: Path) -> None:
    file.write_text(file.read_text() + "# changed\n")


@pytest.mark.parametrize("folder", [PACKAGE, *KIT_FOLDERS])
def test_a_change_of_the_kit_is_another_release_on_the_same_environment(checkout: Path, folder: str) -> None:
    before = made()
    append(min(file for file in (checkout / folder).iterdir() if file.is_file()))
    after = made()

    assert after.release_id != before.release_id
    assert (after.environment, after.model) == (before.environment, before.model)


@pytest.mark.parametrize(
    "start",
    [{"port": 8643}, {"bind": "0.0.0.0"}, {"user": "vlm"}, {"options": []}, {"further": True}],
    ids=lambda start: next(iter(start)),
)
def test_a_change_of_the_start_is_another_release(checkout: Path, start: dict[str, object]) -> None:
    before, after = made(), made(**start)

    assert after.release_id != before.release_id
    assert (after.environment, after.model) == (before.environment, before.model)


@pytest.mark.parametrize("index", range(len(load_release("cpu")["lock_files"]) + 1))
def test_a_change_of_any_lock_is_another_environment_and_release(checkout: Path, index: int) -> None:
    before = made()
    append(Path(before.locks[index].file))
    after = made()

    assert after.environment != before.environment
    assert after.release_id != before.release_id
    assert after.model == before.model


def test_a_change_of_the_model_is_another_model_and_release(checkout: Path) -> None:
    before = made()
    after = made(model=MODEL | {"files": [FILES[0] | {"sha256": "1" * 64}]})

    assert after.model != before.model
    assert after.release_id != before.release_id
    assert after.environment == before.environment


def test_models_from_elsewhere_differ_by_name(checkout: Path) -> None:
    one = made(model=HUB_MODEL)
    other = made(model=copy.deepcopy(HUB_MODEL) | {"name": "phi"})
    assert one.model != other.model
    assert one.model_source == other.model_source == "", "nobody sends what the host is to fetch"
    assert one.release_id != other.release_id


def test_locks_come_in_order_with_pip_first_and_torch_without_dependencies(checkout: Path) -> None:
    release = load_release("cpu")
    locks = read_locks(release, Indexes())

    assert [lock.file for lock in locks] == [
        str(checkout / path) for path in ("requirements/pip.lock.txt", *release["lock_files"])
    ]
    assert locks[0].name == "pip"
    assert all(lock.no_deps == lock.torch for lock in locks)
    torch = [lock for lock in locks if lock.torch]
    assert [lock.name for lock in torch] == ["torch-cpu"]
    assert torch[0].indexes == ("", release["torch_index"])
    assert all(lock.indexes == ("",) for lock in locks if not lock.no_deps)


def test_indexes_are_asked_in_order_and_pytorchs_own_last(checkout: Path) -> None:
    release = load_release("cpu")
    indexes = Indexes(packages=("https://m.example/simple", ""), torch=("find-links:/mnt/torch", ""))
    sources = {lock.name: lock.indexes for lock in read_locks(release, indexes)}
    assert sources["engine-cpu"] == ("https://m.example/simple", "")
    assert sources["torch-cpu"] == (
        "find-links:/mnt/torch", "", "https://m.example/simple", release["torch_index"],
    )  # fmt: skip
    assert made(indexes=indexes).environment == made().environment


def test_of_a_release_with_cuda_nothing_is_resolved_on_the_host(checkout: Path) -> None:
    """Its engine's packages need torch, which lies in another file."""
    locks = read_locks(load_release("cpu") | {"accelerator": "cuda"}, Indexes())
    assert all(lock.no_deps for lock in locks)
    assert [lock.name for lock in locks if lock.torch] == ["torch-cpu"]


def test_an_environment_on_another_python_is_another_environment_and_release(checkout: Path) -> None:
    base = {"packages": "/opt/conda/lib/python3.12/site-packages", "kind": "conda", "torch": "2.5.1"}
    own, adopted = made(), made(base=base)
    other = made(base=base | {"torch": "2.5.1+cu124"})
    assert len({own.environment, adopted.environment, other.environment}) == 3
    assert len({own.release_id, adopted.release_id, other.release_id}) == 3
    assert own.locks == adopted.locks


def test_nvidias_libraries_are_read_from_the_locks(checkout: Path) -> None:
    file = checkout / "requirements/torch-x.lock.txt"
    file.write_text(
        "nvidia-cudnn-cu12==9.1.0.70 \\\n    --hash=sha256:00\ntorch==1\nnvidia-nccl-cu12==2.21.5\n"
    )
    release = load_release("cpu") | {"lock_files": ["requirements/torch-x.lock.txt"]}
    assert libraries(read_locks(release, Indexes())) == {
        "nvidia-cudnn-cu12": "9.1.0.70",
        "nvidia-nccl-cu12": "2.21.5",
    }


def test_a_lock_that_is_missing_is_an_error(checkout: Path) -> None:
    (checkout / "requirements/pip.lock.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"pip\.lock\.txt"):
        made()


def test_a_stamp_holds_the_locks_or_not(checkout: Path) -> None:
    locks = made().locks
    stamp = {lock.name: lock.sha256 for lock in locks}

    assert holds(stamp | {"more": "x"}, locks)
    assert not holds({}, locks)
    assert not holds(stamp | {"pip": "0" * 64}, locks)
    del stamp["pip"]
    assert not holds(stamp, locks)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"b": [1, 2]}) != digest({"b": [2, 1]})
