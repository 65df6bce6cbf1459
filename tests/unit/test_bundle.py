"""Bundles: what one says it holds, what the plan makes of that, and what a host takes from a controller."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sightline.bundle import Bundle, BundleProblem, Note, read_bundle
from sightline.bundle.making import pack
from sightline.hostside import SentProblem, missing_files, put_file, unpack_files
from sightline.layout import LockFile
from sightline.plan import Plan
from sightline.preparing import held
from tests.unit.test_plan import SHA, Inputs

WHEELS = {"wheels/a-1.whl": b"a" * 10, "wheels/b-1.whl": b"b" * 20}
LOCK = LockFile("engine-cpu", "/x/engine-cpu.lock.txt", SHA, torch=False, no_deps=False, indexes=("",))


def note(data: bytes) -> Note:
    return Note(hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    place = tmp_path / "bundle"
    (place / "wheels").mkdir(parents=True)
    for path, data in WHEELS.items():
        (place / path).write_bytes(data)
    made = Bundle(
        place=place,
        machine="x86_64",
        wheels={SHA: {"3.11": list(WHEELS)}},
        models={"made-up": "files"},
        distribution=("debian", "12"),
        files={path: note(data) for path, data in WHEELS.items()},
    )
    made.write()
    return made


def test_what_is_written_is_read_from_the_folder_and_from_the_tar(bundle: Bundle) -> None:
    assert read_bundle(bundle.place) == bundle
    archive = bundle.place.with_name("bundle.tar")
    pack(bundle, archive)
    packed = read_bundle(archive)
    assert packed == replace(bundle, place=archive)
    with packed.opened() as opened:
        assert opened.file("wheels/a-1.whl").read() == WHEELS["wheels/a-1.whl"]
        with opened.on_disk("wheels/b-1.whl") as file:
            assert file.read_bytes() == WHEELS["wheels/b-1.whl"]
        assert list(opened.wrong()) == []


def test_files_that_are_gone_or_other_are_named(bundle: Bundle) -> None:
    (bundle.place / "wheels/a-1.whl").unlink()
    (bundle.place / "wheels/b-1.whl").write_bytes(b"x" * 20)
    with bundle.opened() as opened:
        assert list(opened.wrong()) == ["wheels/a-1.whl", "wheels/b-1.whl"]


def _leads_out(told: dict[str, Any]) -> None:
    told["files"]["../../etc/passwd"] = {"sha256": SHA, "size": 1}


def _is_newer(told: dict[str, Any]) -> None:
    told["schema"] = 2


def _lacks_files(told: dict[str, Any]) -> None:
    told["files"] = []


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(_leads_out, "leads out of it"), (_is_newer, "schema 2"), (_lacks_files, "cannot be used")],
)
def test_a_list_that_cannot_be_trusted_is_refused(
    bundle: Bundle, spoil: Callable[[dict[str, Any]], None], why: str
) -> None:
    listed = bundle.place / "bundle.json"
    told = json.loads(listed.read_text())
    spoil(told)
    listed.write_text(json.dumps(told))
    with pytest.raises(BundleProblem, match=why):
        read_bundle(bundle.place)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda place: None, "make one with scripts/bundle"),
        (lambda place: place.mkdir(), "its making was cut off"),
        (lambda place: place.write_bytes(b"x" * 2000), "neither a folder nor an uncompressed tar"),
    ],
)
def test_what_is_no_bundle_is_told(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    make(tmp_path / "it")
    with pytest.raises(BundleProblem, match=why):
        read_bundle(tmp_path / "it")


def planned(bundle: Bundle, **changed: Any) -> Plan:
    inputs = Inputs()
    inputs.settings["bundle"] = held(replace(bundle, **changed), [LOCK])
    return inputs.plan()


def refusals(plan: Plan) -> set[str]:
    return {refusal.what for refusal in plan.refusals}


def test_a_plan_takes_a_bundle_that_has_all(bundle: Bundle) -> None:
    assert planned(bundle).refusals == ()


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"machine": "aarch64"}, "the bundle is for aarch64, and the host is x86_64"),
        ({"wheels": {}}, "the bundle has no wheels of engine-cpu for Python 3.11"),
        ({"wheels": {SHA: {"3.12": []}}}, "the bundle has no wheels of engine-cpu for Python 3.11"),
    ],
)
def test_a_plan_says_what_a_bundle_lacks(bundle: Bundle, changed: dict[str, Any], what: str) -> None:
    assert refusals(planned(bundle, **changed)) == {what}


@pytest.mark.parametrize(
    ("models", "what"),
    [
        ({"made-up": "files"}, None),
        ({}, "the bundle has no made-up"),
        ({"made-up": "others"}, "the bundle has other files of made-up"),
    ],
)
def test_a_hub_model_must_be_in_the_bundle(bundle: Bundle, models: dict[str, str], what: str | None) -> None:
    inputs = Inputs()
    inputs.model |= {"name": "made-up", "source": {"kind": "hub", "repo": "owner/model", "commit": "c" * 40}}
    inputs.model["provenance"]["commit"] = {"status": "checked_here", "source": "a test"}
    inputs.settings |= {"bundle": held(replace(bundle, models=models), [LOCK]), "model_sources": ["dir=/x"]}
    assert refusals(inputs.plan()) == ({what} if what else set())


def test_a_gateway_comes_from_no_bundle(bundle: Bundle) -> None:
    inputs = Inputs()
    inputs.settings |= {"bundle": held(bundle, [LOCK]), "engine": "gateway"}
    assert "a gateway cannot come from a bundle" in refusals(inputs.plan())


def test_a_bare_host_needs_the_packages_of_its_own_distribution(bundle: Bundle) -> None:
    for distribution in (("debian", "12"), ("debian", "13"), ()):
        inputs = Inputs()
        inputs.facts |= {
            "uid": 0,
            "packages": {"manager": "dpkg", "installed": {}, "held": [], "lock": {"held": False}},
        }
        inputs.facts["python"][0]["venv"] = False
        inputs.settings["bundle"] = held(replace(bundle, distribution=distribution), [LOCK])
        told = refusals(inputs.plan())
        assert any("no packages of debian 12" in what for what in told) == (distribution != ("debian", "12"))


WANTED = {path.removeprefix("wheels/"): (note(data).sha256, len(data)) for path, data in WHEELS.items()}


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_a_host_lacks_what_is_not_there_or_other(tmp_path: Path) -> None:
    assert missing_files(tmp_path, WANTED) == ["a-1.whl", "b-1.whl"]
    unpack_files(tmp_path, WANTED, tar_of(tmp_path / "t", {"a-1.whl": b"a" * 10}))
    assert missing_files(tmp_path, WANTED) == ["b-1.whl"]
    (tmp_path / "b-1.whl").write_bytes(b"x" * 20)
    assert missing_files(tmp_path, WANTED) == ["b-1.whl"]
    assert missing_files(tmp_path, WANTED, hashed=False) == []


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a-1.whl", b"a" * 9 + b"!", "other bytes"),
        ("a-1.whl", b"a" * 9, "other bytes"),
        ("c-1.whl", b"c", "nobody asked for"),
        ("../a-1.whl", b"a" * 10, "nobody asked for"),
    ],
)
def test_wrong_files_get_no_name(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(SentProblem, match=why):
        unpack_files(folder, WANTED, tar_of(tmp_path / "t", {name: data}))
    (tmp_path / "sent").write_bytes(data)
    with pytest.raises(SentProblem, match=why):
        put_file(folder, WANTED, name, tmp_path / "sent")
    assert list(folder.iterdir()) == []


def test_a_broken_tar_is_told(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"no tar")
    with pytest.raises(SentProblem, match="arrived broken"):
        unpack_files(tmp_path, WANTED, tmp_path / "t")
