"""What is refused before anything is changed, each with what, why and what to do."""

from __future__ import annotations

import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.clones import CHECKOUT, free_port, plain_environment


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def playbook(name: str, root: Path, *words: str, **environment: str) -> str:
    """Run a playbook on this machine and see it fail without a traceback. Returns its output."""
    ended = subprocess.run(
        ["scripts/playbook", name, "-e", f"sightline_root={root}", *words],
        cwd=CHECKOUT,
        env={**plain_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    print(ended.stdout)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stdout
    return ended.stdout


def refused(root: Path, *words: str, **environment: str) -> str:
    """Run probe and plan, see the plan refuse, and see that nothing was made. Returns the output."""
    said = playbook("playbooks/plan.yml", root, *words, **environment)
    assert "nothing was changed" in said
    assert not (root / ".sightline-root").exists()
    return said


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def test_a_taken_port_names_its_holder(root: Path, listener: int) -> None:
    said = refused(root, "-e", f"sightline_port={listener}")
    assert f"port {listener}" in said
    assert "pid" in said


def test_a_full_disk_says_how_much_is_missing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "sightline-test", str(small)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        said = refused(small / "root", "-e", f"sightline_port={free_port()}")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "GB" in said
    assert "disk" in said or "free" in said


def test_an_index_that_does_not_answer(root: Path) -> None:
    said = refused(
        root,
        "-e",
        f"sightline_port={free_port()}",
        PIP_CONFIG_FILE="/dev/null",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
    )
    assert "index" in said
    assert "PIP_INDEX_URL" in said or "proxy" in said


def test_only_an_old_python(root: Path, tmp_path: Path) -> None:
    # Stands for a host whose only Python is 3.8: it answers the probe's question as that one would.
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\necho "3.8.18 /usr/bin/python3.8"\n')
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    said = refused(root, "-e", f'{{"sightline_pythons": ["{old}"], "sightline_port": {free_port()}}}')
    assert "3.8.18" in said
    assert "3.11" in said


def test_somebody_elses_folder(root: Path) -> None:
    root.mkdir()
    (root / "thesis.tex").write_text("three years of work")
    said = playbook("site.yml", root, "-e", f"sightline_port={free_port()}")
    assert "was not made by Sightline" in said
    assert "nothing was changed" in said
    assert [path.name for path in root.iterdir()] == ["thesis.tex"]


def test_a_model_that_the_catalogue_does_not_have(root: Path) -> None:
    said = playbook("playbooks/plan.yml", root, "-e", "sightline_model=canari")
    assert "canary" in said
    assert not root.exists()


def test_a_model_that_cannot_be_fetched_yet(root: Path) -> None:
    said = refused(root, "-e", "sightline_model=phi-3-vision-128k", "-e", f"sightline_port={free_port()}")
    assert "phi-3-vision-128k" in said
