"""The root folder: marked when made, and never taken from or removed for somebody else."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest
from sightline_host.root import SUBFOLDERS, RootProblem, make_root, remove_root
from sightline_host.state import MARKER, read_root

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize("exists", [False, True])
def test_it_is_made_with_its_marker_and_folders(tmp_path: Path, exists: bool) -> None:
    root = tmp_path / "data" / "sightline"
    if exists:
        root.mkdir(parents=True)

    changes = make_root(root, ME)

    assert (root / MARKER).is_file()
    assert {path.name for path in root.iterdir()} == {*SUBFOLDERS, MARKER}
    assert {str(root / name) for name in (*SUBFOLDERS, MARKER)} <= set(changes)
    assert (str(root) in changes) is not exists
    assert stat.S_IMODE((root / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "log").stat().st_mode) == 0o755
    assert make_root(root, ME) == []


def test_what_is_missing_is_made_again(tmp_path: Path) -> None:
    make_root(tmp_path / "root", None)
    (tmp_path / "root/models").rmdir()

    assert make_root(tmp_path / "root", None) == [str(tmp_path / "root/models")]


def test_somebody_elses_folder_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()

    for dry in (True, False):
        with pytest.raises(RootProblem, match=f"{tmp_path} is not empty and was not made by Sightline"):
            make_root(tmp_path, None, dry)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_what_a_check_leaves_there_is_nobodys(tmp_path: Path) -> None:
    """Ansible makes its temporary folder on the host even where it only says what it would do."""
    root = tmp_path / "root"
    (root / "tmp/ansible/ansible-tmp-1").mkdir(parents=True)
    (root / "tmp/jobs").mkdir()
    assert read_root(str(root))["empty"] is True
    (root / "tmp/thesis.tex").write_text("three years of work")
    assert read_root(str(root))["empty"] is False
    with pytest.raises(RootProblem, match="was not made by Sightline"):
        make_root(root, None)
    (root / "tmp/thesis.tex").unlink()
    root.chmod(0o700)
    make_root(root, None)
    assert read_root(str(root))["ours"] is True
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_tmp_that_is_no_folder_is_somebodys(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "tmp").touch() if kind == "file" else (root / "tmp").symlink_to(tmp_path)
    assert read_root(str(root))["empty"] is False


def test_somebody_elses_folder_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    (tmp_path / "empty").mkdir()

    for folder in (tmp_path, tmp_path / "empty", tmp_path / "theirs"):
        with pytest.raises(RootProblem, match="did not make it: it is left alone"):
            remove_root(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "theirs"]


def test_removal_takes_everything_inside_and_nothing_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    root = tmp_path / "root"
    make_root(root, None)
    (root / "models" / "m").mkdir()
    (root / "models" / "m" / "weights").touch()
    (root / "current").symlink_to(root / "models" / "m")
    (root / "elsewhere").symlink_to(outside)
    (root / "broken").symlink_to(tmp_path / "nowhere")
    (root / "file").touch()

    assert remove_root(root, dry=True) == [str(root)]
    assert (root / "models/m/weights").exists()
    assert remove_root(root) == [str(root)]
    assert not root.exists()
    assert (outside / "kept").exists()
    assert remove_root(root) == []


def test_a_removal_that_was_interrupted_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    make_root(root, None)
    (root / "file").touch()
    monkeypatch.setattr(Path, "unlink", _fails)
    with pytest.raises(OSError, match="busy"):
        remove_root(root)
    monkeypatch.undo()

    assert (root / MARKER).exists()
    assert remove_root(root) == [str(root)]
    assert not root.exists()


def _fails(self: Path) -> None:
    raise OSError(16, "busy")


def test_a_root_that_is_a_link_is_emptied_and_the_link_stays(tmp_path: Path) -> None:
    """A disk is often reached by a link that the machine's owner made: it is theirs."""
    disk, root = tmp_path / "disk", tmp_path / "root"
    disk.mkdir()
    root.symlink_to(disk)
    make_root(root, None)

    assert remove_root(root) == [str(root)]
    assert root.is_symlink()
    assert list(disk.iterdir()) == []
    assert make_root(root, None)


def test_a_root_that_a_disk_is_mounted_on_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    make_root(root, None)
    rmdir = os.rmdir

    def busy(path: str | Path, *arguments: object, **names: object) -> None:
        if Path(path) == root:
            raise OSError(16, "Device or resource busy", str(path))
        rmdir(path, *arguments, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rmdir", busy)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == root)

    assert remove_root(root) == [str(root)]
    assert list(root.iterdir()) == []
    assert make_root(root, None), "and the empty folder may be used again"


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    assert str(tmp_path / "root") in make_root(tmp_path / "root", ME, dry=True)
    assert list(tmp_path.iterdir()) == []


def test_an_owner_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(RootProblem, match="no user 'nobody-of-that-name'"):
        make_root(tmp_path / "root", "nobody-of-that-name")
    assert list(tmp_path.iterdir()) == []
