"""LocalAI on a host: installed whole with its backend, or not at all. The binary is the stand-in."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sightline_host.localai import LocalAIProblem, Wanted, install, installed, is_there, sha256_of

from tests.localai.making import make_backend, make_binary


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    binary = make_binary(tmp_path / "local-ai", sys.executable)
    archive = make_backend(tmp_path / "v4.9.0-cpu-llama-cpp.tar", sys.executable)
    path = tmp_path / "root/localai/v4.9.0-x"
    return Wanted(path, "v4.9.0", str(binary), sha256_of(binary), str(archive), sha256_of(archive))


def test_it_lies_there_whole_and_for_all_to_read(wanted: Wanted) -> None:
    said: list[str] = []
    install(wanted, said.append)
    assert said == [f"binary: {wanted.binary}", f"backend: {wanted.backend}"]
    assert is_there(wanted.path)
    assert installed(wanted.path.parent) == [str(wanted.path)]
    told = json.loads((wanted.path / "program.json").read_text())
    assert (told["version"], told["backend"], told["image"]) == ("v4.9.0", "cpu-llama-cpp", "")
    backend = wanted.path / "backends/cpu-llama-cpp"
    assert json.loads((backend / "metadata.json").read_text())["alias"] == "llama-cpp"
    for path in (wanted.path, backend):
        assert path.stat().st_mode & 0o777 == 0o755
    assert (backend / "run.sh").stat().st_mode & stat.S_IXOTH
    assert (wanted.path / "bin/local-ai").stat().st_mode & stat.S_IXOTH


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"binary_sha256": "0" * 64}, "not " + "0" * 64 + ": it was not kept"),
        ({"binary_sha256": ""}, "it was not kept"),
        ({"backend_sha256": "0" * 64}, "send it again"),
        ({"binary": "/nowhere/local-ai"}, "cannot be copied"),
        ({"binary": "https://127.0.0.1:1/local-ai"}, "cannot be had"),
        (
            {"backend": "oci://localhost/backends:v4.9.0-cpu-llama-cpp"},
            "did not install its backend .* no network",
        ),
    ],
)
def test_what_is_not_right_is_not_kept(wanted: Wanted, change: dict[str, str], why: str) -> None:
    with pytest.raises(LocalAIProblem, match=why):
        install(replace(wanted, **change), lambda line: None)
    assert list(wanted.path.parent.iterdir()) == []


def test_an_archive_without_a_backend(wanted: Wanted, tmp_path: Path) -> None:
    """A program that says nothing and ends well has installed nothing all the same."""
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n")
    with pytest.raises(LocalAIProblem, match=r"cpu-llama-cpp/run\.sh is not there"):
        install(replace(wanted, binary=str(silent), binary_sha256=sha256_of(silent)), lambda line: None)
    assert not is_there(wanted.path)


def test_a_binary_of_another_machine(wanted: Wanted, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\x7fELF of nobody")
    with pytest.raises(LocalAIProblem, match="cannot be run on this host"):
        install(replace(wanted, binary=str(other), binary_sha256=sha256_of(other)), lambda line: None)


def test_as_a_container_the_image_installs_its_backend(
    wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for podman that knows its words: it runs the image's program with its variables."""
    podman = tmp_path / "bin/podman"
    podman.parent.mkdir()
    podman.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/said\n'
        '[ "$1 $2 $3 $4" = "run --rm --network host" ] || exit 64\n'
        'while [ "$1" != the-image@sha256:0 ]; do shift || exit 65; done; shift\n'
        f'exec {wanted.binary} "$@"\n'
    )
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{podman.parent}:/usr/bin:/bin")
    install(replace(wanted, binary="", binary_sha256="", image="the-image@sha256:0"), lambda line: None)
    said = (tmp_path / "said").read_text()
    assert f"--volume {wanted.backend}:{wanted.backend}" in said
    assert "--env LOCALAI_BACKENDS_PATH" in said
    assert (wanted.path / "backends/cpu-llama-cpp/run.sh").is_file()
    assert not (wanted.path / "bin").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalAIProblem, match="no docker or podman"):
        install(replace(wanted, binary="", image="the-image@sha256:0"), lambda line: None)


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("oci://quay.io/x/backends:v4.9.0-gpu-nvidia-cuda-12-llama-cpp", "gpu-nvidia-cuda-12-llama-cpp"),
        ("oci://quay.io/x/backends:v4.9.0-cpu-llama-cpp@sha256:" + "0" * 64, "cpu-llama-cpp"),
        ("oci://localhost:5000/backends@sha256:" + "0" * 64, "backends"),
        ("/tmp/v4.9.0-cpu-llama-cpp.tar", "cpu-llama-cpp"),
        ("/tmp/llama-cpp.tar", "llama-cpp"),
    ],
)  # fmt: skip
def test_the_backends_name(wanted: Wanted, backend: str, name: str) -> None:
    assert replace(wanted, backend=backend).backend_name == name
