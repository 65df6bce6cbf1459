"""Environments built by a real pip from a local index, and every way in which that can go wrong."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sightline_host.environment import (
    EnvironmentProblem,
    Lock,
    build,
    main,
    missing_locks,
    read_stamp,
)
from sightline_host.pip_output import Progress, reason

from tests.stand_ins.package_index import PackageIndex

CLOSED = "http://127.0.0.1:9/simple"


def quiet(line: str) -> None:
    del line


def version_in(environment: Path, name: str) -> str | None:
    """The version of module `name` in `environment`, or None without it."""
    asked = subprocess.run(
        [environment / "bin/python", "-c", f"import {name}; print({name}.VERSION)"],
        capture_output=True, text=True,
    )  # fmt: skip
    return asked.stdout.strip() or None


def test_a_build_installs_stamps_and_then_changes_nothing(tmp_path: Path) -> None:
    """With a real Python and pip's own configuration, as on a host: pip's lock first, then the package's."""
    index = PackageIndex(tmp_path / "index")
    text = index.add("alpha", "1.0", "beta") + index.add("beta", "2.5")
    pip = Lock("pip", Path("requirements/pip.lock.txt").read_text())
    locks = [pip, Lock("demo", text, indexes=(index.url,))]
    said: list[str] = []
    path = tmp_path / "somewhere" / "env"

    assert build(path, sys.executable, locks, said.append) is True

    assert (version_in(path, "alpha"), version_in(path, "beta")) == ("1.0", "2.5")
    assert read_stamp(path) == {
        "python": platform.python_version(),
        "locks": {"pip": pip.sha256, "demo": hashlib.sha256(text.encode()).hexdigest()},
    }
    assert said[0].startswith(f"creating {path}")
    assert "demo 1/2: alpha" in said
    assert "demo 2/2: beta" in said
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    said.clear()
    assert build(path, sys.executable, locks, said.append) is False
    assert said == []
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_a_changed_lock_builds_anew(tmp_path: Path, index: PackageIndex, quick_python: str) -> None:
    first, second = Lock("demo", index.add("alpha", "1.0")), Lock("demo", index.add("beta", "1.0"))
    path = tmp_path / "env"
    build(path, quick_python, [first], quiet)

    assert missing_locks(path, [second]) is None
    assert build(path, quick_python, [second], quiet) is True

    assert (version_in(path, "alpha"), version_in(path, "beta")) == (None, "1.0")
    assert list(tmp_path.glob(".env*")) == []


def test_a_further_lock_is_added_to_what_is_there(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    first, second = Lock("one", index.add("alpha", "1.0")), Lock("two", index.add("beta", "1.0"))
    path = tmp_path / "env"
    build(path, quick_python, [first], quiet)
    (path / "kept").touch()

    assert missing_locks(path, [first, second]) == [second]
    assert build(path, quick_python, [first, second], quiet) is True

    assert (path / "kept").exists()
    assert (version_in(path, "alpha"), version_in(path, "beta")) == ("1.0", "1.0")
    assert missing_locks(path, [first, second]) == []
    assert missing_locks(path, [first]) == []


def test_a_file_with_another_hash_is_refused(tmp_path: Path, index: PackageIndex, quick_python: str) -> None:
    lock = Lock("demo", index.add("alpha", "1.0"))
    index.spoil("alpha")
    path = tmp_path / "env"

    with pytest.raises(EnvironmentProblem, match="not the one in the lock file; it was not installed"):
        build(path, quick_python, [lock], quiet)

    assert not path.exists()


def test_a_failed_rebuild_leaves_the_environment_that_was_whole(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    old = Lock("demo", index.add("alpha", "1.0"))
    new = Lock("demo", index.add("beta", "1.0"))
    index.spoil("beta")
    path = tmp_path / "env"
    build(path, quick_python, [old], quiet)

    with pytest.raises(EnvironmentProblem):
        build(path, quick_python, [new], quiet)

    assert version_in(path, "alpha") == "1.0"
    assert missing_locks(path, [old]) == []
    assert missing_locks(path, [new]) is None
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_an_index_that_cannot_be_reached_is_named(
    tmp_path: Path, index: PackageIndex, quick_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock("demo", index.add("alpha", "1.0"))
    path = tmp_path / "env"
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED)

    with pytest.raises(EnvironmentProblem, match=r"pip's configured index cannot be reached .*PIP_INDEX_URL"):
        build(path, quick_python, [lock], quiet)
    assert not path.exists()

    elsewhere = Lock(lock.name, lock.text, indexes=(CLOSED,))
    with pytest.raises(EnvironmentProblem, match=f"index {CLOSED} cannot be reached"):
        build(path, quick_python, [elsewhere], quiet)


def test_the_second_index_is_tried_when_the_first_lacks_the_package(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    other = PackageIndex(tmp_path / "other")
    index.add("alpha", "0.9")
    lock = Lock("demo", other.add("alpha", "1.0"), indexes=("", other.url))
    path = tmp_path / "env"

    assert build(path, quick_python, [lock], quiet) is True
    assert version_in(path, "alpha") == "1.0"


def test_a_folder_of_wheels_is_a_source_too(tmp_path: Path, index: PackageIndex, quick_python: str) -> None:
    """As on a machine without a network. What pip is configured for is not asked then."""
    text = index.add("alpha", "1.0")
    folder = tmp_path / "wheels"
    shutil.copytree(index.folder / "alpha", folder)
    shutil.rmtree(index.folder)
    lock = Lock("demo", text, indexes=(f"find-links:{tmp_path}/none", f"find-links:{folder}"))

    assert build(tmp_path / "env", quick_python, [lock], quiet) is True
    assert version_in(tmp_path / "env", "alpha") == "1.0"

    missing = Lock("other", "beta==1.0 --hash=sha256:" + "0" * 64, indexes=(f"find-links:{folder}",))
    with pytest.raises(EnvironmentProblem, match=f"{folder} has no beta==1.0"):
        build(tmp_path / "other", quick_python, [missing], quiet)


def test_wheels_are_unpacked_beside_the_environment_and_nothing_of_it_stays(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    """/tmp may be small; and what a killed build left there goes with the next."""
    lock = Lock("demo", index.add("alpha", "1.0"))
    path = tmp_path / "env" / "demo"
    (tmp_path / "env/.demo.pip-killed").mkdir(parents=True)
    seen: list[str] = []

    def spy(line: str) -> None:
        if "alpha" in line:
            variables = Path(f"/proc/{_pip_of(os.getpid())}/environ").read_text().split("\0")
            seen.extend(entry for entry in variables if entry.startswith("TMPDIR="))

    build(path, quick_python, [lock], spy)

    assert len(seen) == 1
    assert seen[0].startswith(f"TMPDIR={tmp_path}/env/.demo.pip-")
    assert [entry.name for entry in path.parent.iterdir()] == ["demo"]


def test_when_every_index_fails_each_is_reported(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    index.add("alpha", "0.9")
    lock = Lock("demo", "alpha==1.0 --hash=sha256:" + "0" * 64 + "\n", indexes=("", CLOSED))

    with pytest.raises(EnvironmentProblem) as caught:
        build(tmp_path / "env", quick_python, [lock], quiet)

    assert "pip's configured index has no alpha==1.0 for this Python and machine; then" in str(caught.value)
    assert f"index {CLOSED} cannot be reached" in str(caught.value)


def test_an_environment_without_a_stamp_is_built_anew(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    lock = Lock("demo", index.add("alpha", "1.0"))
    path = tmp_path / "env"
    subprocess.run([quick_python, "-m", "venv", str(path)], check=True)
    (path / "half-built").touch()

    assert missing_locks(path, [lock]) is None
    assert build(path, quick_python, [lock], quiet) is True

    assert not (path / "half-built").exists()
    assert version_in(path, "alpha") == "1.0"


@pytest.mark.parametrize("stamp", ["", "[]", "{", '{"locks": []}', '{"locks": null}'])
def test_a_broken_stamp_counts_as_none(tmp_path: Path, stamp: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (tmp_path / ".sightline.json").write_text(stamp)

    assert missing_locks(tmp_path, [Lock("demo", "alpha==1.0\n")]) is None


def test_a_stamp_beside_a_python_that_is_gone_counts_as_none(tmp_path: Path) -> None:
    lock = Lock("demo", "alpha==1.0\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (tmp_path / ".sightline.json").write_text(json.dumps({"locks": {"demo": lock.sha256}}))
    assert missing_locks(tmp_path, [lock]) == []

    (tmp_path / "bin/python").unlink()
    (tmp_path / "bin/python").symlink_to(tmp_path / "nowhere")
    assert missing_locks(tmp_path, [lock]) is None


def test_a_lock_without_dependencies_installs_none(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    text = index.add("alpha", "1.0", "beta")
    index.add("beta", "1.0")
    path = tmp_path / "env"

    with pytest.raises(EnvironmentProblem, match="--require-hashes mode"):
        build(path, quick_python, [Lock("demo", text)], quiet)

    build(path, quick_python, [Lock("demo", text, no_deps=True)], quiet)
    assert (version_in(path, "alpha"), version_in(path, "beta")) == ("1.0", None)


def test_a_file_without_hashes_is_no_lock(tmp_path: Path, index: PackageIndex, quick_python: str) -> None:
    index.add("alpha", "1.0")

    with pytest.raises(EnvironmentProblem, match="Hashes are required"):
        build(tmp_path / "env", quick_python, [Lock("demo", "alpha==1.0\n")], quiet)


def test_after_a_build_was_killed_the_last_whole_environment_can_still_come_back(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    old, new = Lock("demo", index.add("alpha", "1.0")), Lock("demo", index.add("beta", "1.0"))
    path = tmp_path / "env"
    build(path, quick_python, [old], quiet)
    # As `kill -9` leaves it in the middle of a build.
    path.rename(tmp_path / ".env.old")
    (path / "bin").mkdir(parents=True)
    index.spoil("beta")

    with pytest.raises(EnvironmentProblem):
        build(path, quick_python, [new], quiet)

    assert version_in(path, "alpha") == "1.0"
    assert not (tmp_path / ".env.old").exists()


def test_a_build_that_is_interrupted_leaves_nothing(
    tmp_path: Path, index: PackageIndex, quick_python: str
) -> None:
    lock = Lock("demo", index.add("alpha", "1.0"))

    def interrupt(line: str) -> None:
        if "alpha" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "env", quick_python, [lock], interrupt)

    assert not (tmp_path / "env").exists()


def test_a_python_that_cannot_make_environments_names_the_package(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ensurepip is not available'\nexit 1\n")
    broken.chmod(0o755)

    with pytest.raises(EnvironmentProblem, match=r"ensurepip is not available.*python3-venv"):
        build(tmp_path / "env", str(broken), [Lock("demo", "")], quiet)

    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("Collecting torch==2.13.0 (from -r /x/torch-cpu.lock.txt (line 1))", "torch"),
        ("Collecting typing-extensions==4.15.0 (from ...)", "typing-extensions"),
        ("Collecting ruamel.yaml==0.19.1 (from ...)", "ruamel.yaml"),
        ("Processing ./wheels/pydantic_core-2.41.5-cp311-cp311-manylinux_2_17_x86_64.whl", "pydantic_core"),
        ("Processing /srv/wheels/tokenizers-0.22.2-cp39-abi3-linux_x86_64.whl", "tokenizers"),
    ],
)
def test_progress_names_the_package(line: str, package: str) -> None:
    said: list[str] = []
    progress = Progress("engine", 2, said.append)

    assert progress.read(line) is False
    assert said == [f"engine 1/2: {package}"]


def test_progress_counts_each_tenth_of_a_long_download_once() -> None:
    said: list[str] = []
    progress = Progress("engine", 2, said.append)
    progress.read("Collecting torch==2.13.0")
    for done in (0, 19_999_999, 20_000_000, 25_000_000, 200_000_000):
        assert progress.read(f"Progress {done} of 200000000") is True
    progress.read("Collecting small==1.0")
    assert progress.read("Progress 20000000 of 20000000") is True
    assert progress.read("Progress 5 of 0") is True
    progress.read("Installing collected packages: small, torch")

    assert said == [
        "engine 1/2: torch",
        "torch: 20 of 200 MB",
        "torch: 200 of 200 MB",
        "engine 2/2: small",
        "engine: unpacking 2 packages",
    ]


def test_a_lock_counts_its_packages() -> None:
    text = "# a comment\na==1 \\\n    --hash=sha256:00\n# b==2\n-r c==1\nPy-Yaml.x==2 ; os == 'x'\n"
    assert Lock("demo", text).count == 2


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "scripts/lock"),
        ("WARNING: name resolution\nERROR: No matching distribution found for a", "cannot be reached"),
        ("ERROR: (from versions: none)\nERROR: No matching distribution found for a==1",
         "http://x has no a==1 for this Python and machine, or did not answer"),
        ("ERROR: one\nERROR: two", "index http://x: ERROR: one / ERROR: two"),
        ("", "no output"),
    ],
)  # fmt: skip
def test_reasons_are_told_apart(output: str, words: str) -> None:
    assert words in reason(output, "http://x")


def test_as_a_script_it_builds_and_reports(
    tmp_path: Path, index: PackageIndex, quick_python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = PackageIndex(tmp_path / "other")
    (tmp_path / "one.lock.txt").write_text(index.add("alpha", "1.0"))
    (tmp_path / "torch.lock.txt").write_text(other.add("beta", "1.0", "gamma"))
    locks = [str(tmp_path / "one.lock.txt"), f"{tmp_path}/torch.lock.txt@{other.url}"]
    path = tmp_path / "env"

    assert main([str(path), *locks, "--interpreter", quick_python]) == 0

    assert (version_in(path, "alpha"), version_in(path, "beta")) == ("1.0", "1.0")
    assert "one 1/1: alpha" in capsys.readouterr().err


def test_as_a_script_it_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.lock.txt"

    assert main([str(tmp_path / "env"), str(missing)]) == 1
    assert f"error: [Errno 2] No such file or directory: '{missing}'" in capsys.readouterr().err

    (tmp_path / "a.lock.txt").write_text("")
    nowhere = str(tmp_path / "no-python")
    assert main([str(tmp_path / "env"), str(tmp_path / "a.lock.txt"), "--interpreter", nowhere]) == 1
    assert nowhere in capsys.readouterr().err
    assert not (tmp_path / "env").exists()


def test_pips_cache_folder_is_the_given_one_unless_the_user_has_one(
    tmp_path: Path, index: PackageIndex, quick_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's python is replaced by one that writes down what pip would have seen."""
    lock = Lock("demo", index.add("alpha", "1.0"))
    path = tmp_path / "env"
    seen = tmp_path / "seen"

    def spy(line: str) -> None:
        if line.startswith("creating"):
            return
        seen.write_text(Path(f"/proc/{_pip_of(os.getpid())}/environ").read_text())

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    build(path, quick_python, [lock], spy, str(tmp_path / "cache"))
    variables = dict(entry.split("=", 1) for entry in seen.read_text().split("\0") if entry)
    assert variables["PIP_CACHE_DIR"] == str(tmp_path / "cache")
    assert "PYTHONPATH" not in variables


def _pip_of(parent: int) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(children[-1])


def test_a_download_that_broke_off_is_the_disks_fault_when_that_was_full() -> None:
    broken = "error: incomplete-download\n\nx Download failed because not enough bytes were received"
    assert "http://x broke off in the middle of a file: check the network" in reason(
        broken, "http://x", 10**9
    )
    assert "the disk is full while installing from" in reason(broken, "http://x", 20 * 2**20)
