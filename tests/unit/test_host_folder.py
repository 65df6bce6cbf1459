"""Folders that arrive whole: packing, checking, and every archive that must be refused."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sightline_host.folder import (
    MANIFEST,
    Contents,
    FolderProblem,
    describe,
    fingerprint,
    install,
    is_whole,
    pack,
    read_manifest,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)) * 40)
    (folder / "deep" / "run").write_text("#!/bin/sh\n")
    (folder / "deep" / "run").chmod(0o700)
    return folder


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Path -> content and permission bits of every file but the manifest."""
    return {
        file.relative_to(folder).as_posix(): (file.read_bytes(), file.stat().st_mode & 0o777)
        for file in folder.rglob("*")
        if file.is_file() and file.name != MANIFEST
    }


def send(contents: Contents, destination: Path, executables: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Describe, pack and install; returns the manifest."""
    manifest = describe(contents, executables)
    archive = destination.parent / "archive.tgz"
    archive.write_bytes(pack(contents, manifest))
    install(archive, manifest, destination)
    archive.unlink()
    return manifest


def test_a_folder_arrives_as_it_was(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "there"
    manifest = send(Contents(source), place)

    assert tree(place) == {
        "weights": (bytes(range(256)) * 40, 0o644),
        "deep/run": (b"#!/bin/sh\n", 0o755),
    }
    assert read_manifest(place) == manifest
    assert is_whole(place, manifest, deep=True)
    assert describe(Contents(place))["fingerprint"] == manifest["fingerprint"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["source", "there"]


def test_files_are_put_below_and_texts_are_added(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "there"
    send(Contents(source, {"bin/start": "go\n"}, into="lib/code"), place, frozenset({"bin/start"}))

    assert sorted(tree(place)) == ["bin/start", "lib/code/deep/run", "lib/code/weights"]
    assert tree(place)["bin/start"] == (b"go\n", 0o755)


def test_what_python_leaves_behind_is_not_sent(source: Path) -> None:
    before = describe(Contents(source))
    for leftover in ("__pycache__/a.pyc", "kit.egg-info/PKG-INFO", MANIFEST):
        (source / leftover).parent.mkdir(exist_ok=True)
        (source / leftover).write_text("x")

    assert describe(Contents(source)) == before


def test_the_same_files_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (copy / "deep").mkdir(parents=True)
    for path, (content, mode) in reversed(sorted(tree(source).items())):
        (copy / path).write_bytes(content)
        (copy / path).chmod(mode)
        os.utime(copy / path, (1, 1))

    one, other = describe(Contents(source)), describe(Contents(copy))

    assert one == other
    assert pack(Contents(source), one) == pack(Contents(copy), other)


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_any_difference_is_another_fingerprint(source: Path, change: str) -> None:
    before = describe(Contents(source))["fingerprint"]
    if change == "content":
        (source / "weights").write_bytes(bytes(256 * 40))
    elif change == "name":
        (source / "weights").rename(source / "weight")
    else:
        (source / "weights").chmod(0o755)

    assert describe(Contents(source))["fingerprint"] != before


paths = st.lists(st.sampled_from(["a", "b", "c.d", "é", "x y"]), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(paths, st.tuples(st.text(max_size=20), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_round_trip_of_anything(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Any]) -> None:
    # A path can't be a file and a folder at once.
    kept = {path: entry for path, entry in files.items() if not any(p.startswith(path + "/") for p in files)}
    place = tmp_path_factory.mktemp("round") / "there"
    executables = frozenset(path for path, (_, executable) in kept.items() if executable)

    manifest = send(Contents(extra={path: text for path, (text, _) in kept.items()}), place, executables)

    assert tree(place) == {
        path: (text.encode(), 0o755 if executable else 0o644) for path, (text, executable) in kept.items()
    }
    assert is_whole(place, manifest, deep=True)


@given(at=st.integers(0, 256 * 40 - 1), flip=st.integers(1, 255))
@settings(max_examples=20, deadline=None)
def test_one_altered_byte_is_seen(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    folder = tmp_path_factory.mktemp("altered")
    content = bytearray(bytes(range(256)) * 40)
    (folder / "weights").write_bytes(content)
    manifest = describe(Contents(folder))
    content[at] ^= flip
    (folder / "weights").write_bytes(content)

    assert is_whole(folder, manifest), "the size alone is still right"
    assert not is_whole(folder, manifest, deep=True)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("damage", ["missing", "short", "long", "folder"])
def test_a_folder_that_is_not_whole(source: Path, damage: str, deep: bool) -> None:
    manifest = describe(Contents(source))
    weights = source / "weights"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "short":
        weights.write_bytes(content[:-1])
    elif damage == "long":
        weights.write_bytes(content + b"x")
    elif damage == "folder":
        weights.mkdir()

    assert not is_whole(source, manifest, deep)


def test_replacing_leaves_nothing_of_the_old_one(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "there"
    send(Contents(source), place)
    (place / "stray").touch()

    send(Contents(extra={"only": "this"}), place)

    assert sorted(tree(place)) == ["only"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["source", "there"]


Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def archive_of(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


WANTED = Contents(extra={"a": "hello", "b": "world"})
WHOLE = pack(WANTED, describe(WANTED))
A, B = member("a", b"hello"), member("b", b"world")
REFUSED = {
    "a file altered": archive_of(member("a", b"jello"), B),
    "a file missing": archive_of(A),
    "a file short": archive_of(member("a", b"hell"), B),
    "a file that is not in the manifest": archive_of(A, B, member("c", b"!")),
    "a path that leads outside": archive_of(A, B, member("../outside", b"!")),
    "an absolute path": archive_of(A, B, member("/tmp/outside", b"!")),
    "a symbolic link": archive_of(A, member("b", kind=tarfile.SYMTYPE, link="/etc/passwd")),
    "a hard link": archive_of(A, member("b", kind=tarfile.LNKTYPE, link="a")),
    "a device": archive_of(A, member("b", kind=tarfile.CHRTYPE)),
    "a folder": archive_of(A, member("b", kind=tarfile.DIRTYPE)),
    "cut off": WHOLE[: len(WHOLE) // 2],
    "no archive": b"this is no archive",
    "nothing": b"",
}


def test_the_archives_below_differ_from_one_that_is_taken(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tgz"
    archive.write_bytes(archive_of(A, B))
    install(archive, describe(WANTED), tmp_path / "there")

    assert tree(tmp_path / "there") == {"a": (b"hello", 0o644), "b": (b"world", 0o644)}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_archive_is_refused_and_the_old_folder_stays(tmp_path: Path, what: str) -> None:
    archive, place = tmp_path / "archive.tgz", tmp_path / "there"
    place.mkdir()
    (place / "old").write_text("kept")
    archive.write_bytes(REFUSED[what])

    with pytest.raises(FolderProblem, match=r"archive\.tgz"):
        install(archive, describe(WANTED), place)

    assert tree(place) == {"old": (b"kept", 0o644)}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["archive.tgz", "there"]


@pytest.mark.parametrize("path", ["../outside", "/tmp/outside", "a/../../outside", ""])
def test_a_manifest_that_leads_outside_is_refused(tmp_path: Path, path: str) -> None:
    manifest = describe(WANTED)
    manifest["files"][path] = manifest["files"]["a"]
    archive = tmp_path / "archive.tgz"
    archive.write_bytes(archive_of(A, B, member(path, b"hello")))

    with pytest.raises(FolderProblem, match="archive"):
        install(archive, manifest, tmp_path / "there")

    assert [entry.name for entry in tmp_path.iterdir()] == ["archive.tgz"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, place = tmp_path / "archive.tgz", tmp_path / "there"
    send(Contents(extra={"old": "kept"}), place)
    archive.write_bytes(WHOLE)
    rename = Path.rename

    def fails_for_the_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new)
    with pytest.raises(OSError, match="No space"):
        install(archive, describe(WANTED), place)

    assert tree(place) == {"old": (b"kept", 0o644)}


def test_nothing_to_install_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderProblem, match="has no files"):
        describe(Contents(tmp_path))
    with pytest.raises(FolderProblem, match="is not a folder"):
        describe(Contents(tmp_path / "missing"))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "7", "{}", '{"fingerprint": "0"}', '{"fingerprint": "0", "files": []}',
        '{"fingerprint": "0", "files": {"a": {}}}', '{"fingerprint": "0", "files": {"a": 5}}',
    ],
)  # fmt: skip
def test_a_broken_manifest_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    assert read_manifest(tmp_path) is None


def test_a_manifest_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe\x00")
    assert read_manifest(tmp_path) is None


def test_the_fingerprint_is_over_sorted_lines_of_path_hash_and_mode() -> None:
    files = {"b": {"sha256": "22", "mode": "0755"}, "a": {"sha256": "11", "mode": "0644"}}
    assert fingerprint(files) == hashlib.sha256(b"a 11 0644\nb 22 0755\n").hexdigest()
