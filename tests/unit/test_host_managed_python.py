"""Pythons that uv brings: a real uv, real archives in mirrors of the test's own, and every way to fail.

The archive is mostly a small one, whose interpreter hands on to the test's own Python; where this machine has
a Python 3.12 that can be packed, that one is brought too.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sightline_host.environment import Lock
from sightline_host.managed_python import ManagedPython, PythonProblem, bring, first_answer

from sightline.pythons import addresses, key, locked_builds
from tests.stand_ins.package_index import PackageIndex
from tests.unit.relocatable_python import listed, pack, python_to_pack

UV = Path(sys.executable).with_name("uv")
MACHINE = os.uname().machine


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@pytest.fixture
def uv_lock(index: PackageIndex) -> Lock:
    """A lock of a package `uv` whose program is the real one of .venv/dev, so that nothing is downloaded."""
    wheel = index.folder / "uv/uv-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1.0\n")
        archive.writestr(
            "uv-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        program = zipfile.ZipInfo("uv-1.0.data/scripts/uv")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, f'#!/bin/sh\nexec {UV} "$@"\n')
        archive.writestr("uv-1.0.dist-info/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return Lock("uv", f"uv==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")


def small_archive(path: Path, program: str = f'#!/bin/sh\nexec {sys.executable} "$@"\n') -> str:
    """An archive with an interpreter and the one file that uv edits; returns its sha256."""
    script = path.with_suffix(".sh")
    script.write_text(program)
    script.chmod(0o755)
    settings = path.parent / "lib" / f"_sysconfigdata__linux_{MACHINE}-linux-gnu.py"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(
        "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {'CC': 'cc'}\n"
    )
    with tarfile.open(path, "w:gz") as tar:
        tar.add(script, "python/bin/python3.12")
        tar.add(settings.parent, "python/lib/python3.12")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def a_list(folder: Path, **small: str) -> str:
    """The address of a list with one small build of 3.12.1."""
    sha256 = small_archive(folder / "python.tar.gz", **small)
    (folder / "list.json").write_text(listed("3.12.1", (folder / "python.tar.gz").as_uri(), sha256))
    return (folder / "list.json").as_uri()


def managed(folder: Path, version: str = "3.12", **differing: str) -> ManagedPython:
    return ManagedPython(folder / key(version, MACHINE) / "bin/python3.12", version, folder, **differing)


def test_a_build_of_a_list_is_brought_once(tmp_path: Path, uv_lock: Lock, quick_python: str) -> None:
    wanted = managed(tmp_path / "root/python", listed=a_list(tmp_path))
    said: list[str] = []

    assert bring(wanted, quick_python, [uv_lock], said.append, None) is True

    asked = subprocess.run([wanted.python, "-c", "print(6 * 7)"], capture_output=True, text=True)
    assert asked.stdout == "42\n"
    assert "uv brings Python 3.12" in said
    assert not [entry for entry in wanted.folder.iterdir() if entry.name.startswith(".uv-")]
    uv_lock_gone = Lock("uv", "uv==2.0 --hash=sha256:" + "0" * 64)
    assert bring(wanted, "/no/python", [uv_lock_gone], said.append, None) is False


def test_a_real_python_is_brought_and_makes_environments(
    tmp_path: Path, uv_lock: Lock, quick_python: str
) -> None:
    source = python_to_pack("3.12")
    if source is None:
        pytest.skip("this machine has no Python 3.12 under ~/.pyenv that could be packed as uv's builds are")
    archive = tmp_path / "real.tar.gz"
    version = source.name
    (tmp_path / "list.json").write_text(listed(version, archive.as_uri(), pack(source, archive)))
    wanted = managed(tmp_path / "python", listed=(tmp_path / "list.json").as_uri())

    bring(wanted, quick_python, [uv_lock], lambda line: None, None)

    env = tmp_path / "env"
    subprocess.run([wanted.python, "-m", "venv", env], check=True)
    asked = subprocess.run(
        [env / "bin/python", "-c", "import ssl, ctypes, sys; print(sys.version.split()[0], sys.base_prefix)"],
        capture_output=True, text=True,
    )  # fmt: skip
    said_version, base = asked.stdout.split()
    assert said_version == version
    assert base.startswith(str(tmp_path / "python"))


def test_another_file_behind_the_right_name_is_not_installed(
    tmp_path: Path, uv_lock: Lock, quick_python: str
) -> None:
    """uv knows the sha256 of its builds, so a mirror may be anybody's."""
    build = locked_builds()["3.12"]
    mirror = tmp_path / "mirror"
    (address,) = addresses(build, MACHINE, mirror.as_uri())
    file = mirror / build["build"] / address.rpartition("/")[2].replace("%2B", "+")
    file.parent.mkdir(parents=True)
    small_archive(tmp_path / "small.tar.gz")
    file.write_bytes((tmp_path / "small.tar.gz").read_bytes())
    wanted = managed(tmp_path / "python", build["version"], mirror=mirror.as_uri())

    assert first_answer([address]) == {"reachable": True, "detail": None}
    with pytest.raises(PythonProblem, match=r"is not the one that uv knows, and was not installed"):
        bring(wanted, quick_python, [uv_lock], lambda line: None, None)
    assert not wanted.python.exists()

    file.unlink()
    with pytest.raises(PythonProblem, match=r"does not give it .*No such file.*sightline_python_mirror"):
        bring(wanted, quick_python, [uv_lock], lambda line: None, None)


def test_a_mirror_that_does_not_answer_is_named(tmp_path: Path, uv_lock: Lock, quick_python: str) -> None:
    version = locked_builds()["3.12"]["version"]
    wanted = managed(tmp_path / "python", version, mirror="http://127.0.0.1:9/pythons")
    with pytest.raises(PythonProblem) as caught:
        bring(wanted, quick_python, [uv_lock], lambda line: None, None)
    assert f"uv cannot bring Python {version}: http://127.0.0.1:9/pythons/" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "sightline_pythons" in str(caught.value)


def test_a_list_without_the_version_is_named(tmp_path: Path, uv_lock: Lock, quick_python: str) -> None:
    address = a_list(tmp_path)
    wanted = managed(tmp_path / "python", "3.13", listed=address)
    with pytest.raises(PythonProblem, match=f"{address} lists no such build for this machine"):
        bring(wanted, quick_python, [uv_lock], lambda line: None, None)


def test_a_build_that_does_not_run_here_is_told(tmp_path: Path, uv_lock: Lock, quick_python: str) -> None:
    wanted = managed(tmp_path / "python", listed=a_list(tmp_path, program="#!/bin/sh\nexit 126\n"))
    with pytest.raises(
        PythonProblem, match=r"bin/python3\.12 does not run: the build may be for another machine"
    ):
        bring(wanted, quick_python, [uv_lock], lambda line: None, None)


# --- whether a source answers -----------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Has one file; takes HEAD only where the path says so."""

    def do_HEAD(self) -> None:
        self._answer(200 if self.path == "/there" else 405 if self.path == "/get-only" else 404)

    def do_GET(self) -> None:
        self._answer(206 if self.path == "/get-only" and self.headers["Range"] == "bytes=0-0" else 404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_a_source_answers_or_not(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    here = (tmp_path / "file").as_uri()
    for address in (f"{server}/there", f"{server}/get-only", here):
        assert first_answer([address]) == {"reachable": True, "detail": None}
    assert first_answer(["http://127.0.0.1:9/x", f"{server}/gone", here])["reachable"] is True

    for address, why in (
        (f"{server}/gone", "HTTP status 404"),
        ("http://127.0.0.1:9/x", "Connection refused"),
        (f"file://{tmp_path}/gone", "No such file"),
        ("no address", "unknown url type"),
    ):
        answer = first_answer([f"{server}/gone", address])
        assert answer["reachable"] is False
        assert str(answer["detail"]).startswith(f"{address}: ")
        assert why in str(answer["detail"])
    assert first_answer([])["reachable"] is False
