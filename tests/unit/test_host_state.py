"""What the probe finds on a host, whole or damaged, allowed to look or not."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sightline_host.environment import STAMP
from sightline_host.folder import Contents, describe, install, pack
from sightline_host.root import make_root
from sightline_host.secret import ensure_secret
from sightline_host.service_state import read_service
from sightline_host.state import (
    default_candidates,
    makes_environments,
    prefixes_of,
    read_folder,
    read_installed,
    read_key,
    read_pythons,
    read_root,
    read_user,
)

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    make_root(folder, None)
    return folder


def put_environment(path: Path, locks: dict[str, str]) -> None:
    (path / "bin").mkdir(parents=True)
    (path / "bin/python").symlink_to(sys.executable)
    (path / STAMP).write_text(json.dumps({"python": "3.11.7", "locks": locks}))


def put_folder(path: Path, text: str = "hello") -> str:
    contents = Contents(extra={"file": text})
    manifest = describe(contents)
    archive = path.parent / "archive.tgz"
    archive.write_bytes(pack(contents, manifest))
    install(archive, manifest, path)
    archive.unlink()
    return str(manifest["fingerprint"])


def without_rights(look: Callable[[], object]) -> object:
    """What `look` returns, as JSON, in a process of a user who owns nothing here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            said = json.dumps(look())
        except BaseException as problem:  # it must never come back into pytest
            said = json.dumps(repr(problem))
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return json.loads(said)


def test_a_bare_host(tmp_path: Path) -> None:
    place = tmp_path / "not" / "there"

    assert read_installed(str(place)) == {
        "environments": {},
        "models": {},
        "localai": [],
        "release": {"path": None, "fingerprint": None},
        "key": {"present": False, "private": None, "owner": None},
    }
    found = read_root(str(place))
    assert {name: found[name] for name in ("path", "exists", "ours", "empty", "writable")} == {
        "path": str(place), "exists": False, "ours": False, "empty": False, "writable": True,
    }  # fmt: skip
    status = os.statvfs(tmp_path)
    assert found["total_bytes"] == status.f_blocks * status.f_frsize
    assert isinstance(found["filesystem"], str)


def test_a_root_is_empty_ours_or_somebody_elses(tmp_path: Path, root: Path) -> None:
    theirs, empty = tmp_path / "theirs", tmp_path / "empty"
    theirs.mkdir()
    empty.mkdir()
    (theirs / "file").touch()

    def seen(folder: Path) -> tuple[object, object, object]:
        found = read_root(str(folder))
        return found["exists"], found["ours"], found["empty"]

    assert seen(root) == (True, True, False)
    assert seen(theirs) == (True, False, False)
    assert seen(empty) == (True, False, True)
    assert seen(theirs / "file") == (False, False, False)
    assert read_root(str(theirs / "file" / "below"))["writable"] is False


def test_what_is_whole_is_listed_with_its_fingerprint(root: Path) -> None:
    put_environment(root / "env/cpu-1", {"pip": "aa", "engine": "bb"})
    put_environment(root / "supervisor/env", {"supervisor": "cc"})
    (root / "env/half-built").mkdir()
    (root / "env/.cpu-1.old").mkdir()
    (root / "models/begun-1").mkdir()
    (root / "models/begun-1/file").write_text("hell")
    for name in ("v4.9.0-abc", ".v4.9.0-abd.7.new", "begun"):
        (root / "localai" / name).mkdir(parents=True)
    for name in ("v4.9.0-abc", ".v4.9.0-abd.7.new"):
        (root / "localai" / name / "program.json").write_text("{}")
    release = put_folder(root / "releases/abc", "release")
    (root / "current").symlink_to(root / "releases/abc")
    ensure_secret(root / "secrets/api_key", "sk-", None)

    found = read_installed(str(root))

    assert found == {
        "environments": {
            str(root / "env/cpu-1"): {"pip": "aa", "engine": "bb"},
            str(root / "env/half-built"): {},
            str(root / "supervisor/env"): {"supervisor": "cc"},
        },
        "models": {str(root / "models/begun-1"): {"fingerprint": None, "disk_bytes": 4096, "there_bytes": 4}},
        "localai": [str(root / "localai/v4.9.0-abc")],
        "release": {"path": str(root / "releases/abc"), "fingerprint": release},
        "key": {"present": True, "private": True, "owner": read_user()["user"]},
    }
    assert (root / "secrets/api_key").read_text().strip() not in json.dumps(found)


@pytest.mark.parametrize("manifest", ["", "[]", '{"fingerprint": 1, "files": {"file": 5}}', "\0"])
def test_a_folder_with_a_broken_manifest_is_not_there(root: Path, manifest: str) -> None:
    put_folder(root / "models/canary-1")
    (root / "models/canary-1" / STAMP).write_text(manifest)
    assert read_folder(root / "models/canary-1") == {"path": None, "fingerprint": None}
    shutil.move(root / "models/canary-1", root / "current")
    assert read_installed(str(root))["release"] == {"path": None, "fingerprint": None}


@pytest.mark.parametrize(("mode", "private"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_a_key_is_private_when_its_owner_alone_can_read_it(tmp_path: Path, mode: int, private: bool) -> None:
    key = tmp_path / "key"
    key.write_text("sk-")
    key.chmod(mode)
    assert read_key(key) == {"present": True, "private": private, "owner": read_user()["user"]}


def test_an_empty_key_is_none(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    assert read_key(tmp_path / "key")["present"] is False


def test_an_owner_without_a_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    (tmp_path / "key").write_text("sk-")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert read_key(tmp_path / "key")["owner"] == str(os.getuid())


def test_folders_that_this_user_may_not_look_into_are_no_traceback(tmp_path: Path) -> None:
    """/root/sightline as the root folder, and a connection as somebody else."""
    closed = tmp_path / "closed"
    make_root(closed / "root", None)
    closed.chmod(0)
    try:
        found = without_rights(lambda: read_root(str(closed / "root")))
        installed = without_rights(lambda: read_installed(str(closed / "root")))
        service = without_rights(lambda: read_service("sightline-test-unit", str(closed / "root")))
    finally:
        closed.chmod(0o700)

    assert isinstance(found, dict), found
    assert (found["exists"], found["ours"], found["writable"]) == (False, False, False)
    assert isinstance(installed, dict), installed
    assert installed["environments"] == {}
    assert isinstance(service, dict), service
    assert service["state"] == "absent"


def test_the_pythons_are_listed_once_each_with_what_they_can_do(tmp_path: Path) -> None:
    link = tmp_path / "python-link"
    link.symlink_to(sys.executable)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    no_venv = tmp_path / "no-venv"
    no_venv.write_text(
        "#!/bin/sh\necho '3.12.3 /usr/bin/python3.12'\necho 'No module named ensurepip' >&2\nexit 1\n"
    )
    not_executable = tmp_path / "text"
    not_executable.write_text("hello")
    wrong_format = tmp_path / "wrong"
    wrong_format.write_bytes(b"\x7fELF nonsense")
    for file in (broken, no_venv, wrong_format):
        file.chmod(0o755)
    candidates = [
        sys.executable,
        str(link),
        str(broken),
        str(no_venv),
        str(not_executable),
        str(wrong_format),
    ]

    found = read_pythons([*candidates, str(tmp_path / "missing"), "no-such-python"])

    base = getattr(sys, "_base_executable", sys.executable)
    assert found == [
        {"path": base, "version": platform.python_version(), "venv": True},
        {"path": "/usr/bin/python3.12", "version": "3.12.3", "venv": False},
    ]
    assert sys.executable in default_candidates()
    assert [makes_environments(path) for path in (sys.executable, str(no_venv), str(wrong_format))] == [
        True, False, False,
    ]  # fmt: skip
    assert not makes_environments(str(tmp_path / "missing"))
    assert prefixes_of([str(tmp_path / "venv/bin/gone"), str(no_venv), str(link)], found) == list(
        dict.fromkeys([*(os.path.dirname(str(path.parent)) for path in (no_venv, link)), os.path.dirname(
            os.path.dirname(base)), "/usr"])
    )  # fmt: skip


def test_a_service_under_supervisord(root: Path) -> None:
    assert read_service("demo", str(root)) == {
        "state": "absent", "manager": None, "fingerprint": None, "release": None,
    }  # fmt: skip
    definition = root / "supervisor/conf.d/demo.conf"
    definition.parent.mkdir(parents=True)
    definition.write_text('[program:demo]\nenvironment=SIGHTLINE_RELEASE="0123456789ab"\n')
    (root / "supervisor/supervisord.conf").touch()

    found = read_service("demo", str(root))

    assert (found["state"], found["manager"], found["release"]) == ("stopped", "supervisor", "0123456789ab")
    digest = subprocess.run(["sha256sum", definition], capture_output=True, text=True).stdout.split()[0]
    assert found["fingerprint"] == digest


def test_the_user_is_the_one_that_asks() -> None:
    me = read_user()
    assert me["uid"] == os.geteuid()
    assert stat.S_ISDIR(os.stat(str(me["home"])).st_mode)
