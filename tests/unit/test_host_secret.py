"""The secret: made once, private from its first byte on, kept afterwards."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest
from sightline_host.secret import ensure_secret

ME = pwd.getpwuid(os.geteuid()).pw_name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_private_and_random(tmp_path: Path) -> None:
    path, other = tmp_path / "secrets" / "key", tmp_path / "secrets" / "other"

    assert ensure_secret(path, "sk-", None) == ["made"]
    ensure_secret(other, "sk-", None)

    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    secret = path.read_text()
    assert secret.startswith("sk-")
    assert secret.endswith("\n")
    assert len(secret.strip()) >= 3 + 43, "256 bits are 43 letters of base64"
    assert secret != other.read_text()
    assert sorted(file.name for file in path.parent.iterdir()) == ["key", "other"]


def test_it_is_private_under_any_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        ensure_secret(tmp_path / "key", "", None)
    finally:
        os.umask(old)
    assert mode(tmp_path / "key") == 0o600


def test_a_second_run_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    ensure_secret(path, "sk-", ME)
    before = path.read_text()

    assert ensure_secret(path, "sk-", ME) == []
    assert path.read_text() == before


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)

    assert ensure_secret(path, "sk-", None) == ["made"]
    assert path.read_text().startswith("sk-")


def test_a_mode_that_others_can_read_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "key"
    ensure_secret(path, "sk-", None)
    before = path.read_text()
    path.chmod(0o644)

    assert ensure_secret(path, "sk-", None, dry=True) == ["mode 0644 -> 0600"]
    assert mode(path) == 0o644
    assert ensure_secret(path, "sk-", None) == ["mode 0644 -> 0600"]
    assert mode(path) == 0o600
    assert path.read_text() == before


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    assert ensure_secret(tmp_path / "secrets" / "key", "sk-", ME, dry=True) == ["made"]
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_run_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "key.new").write_text("sk-half")
    (tmp_path / "key.new").chmod(0o644)

    assert ensure_secret(tmp_path / "key", "sk-", None) == ["made"]
    assert mode(tmp_path / "key") == 0o600
    assert (tmp_path / "key").read_text() != "sk-half"
    assert not (tmp_path / "key.new").exists()


def test_an_owner_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no user 'nobody-of-that-name'"):
        ensure_secret(tmp_path / "secrets" / "key", "sk-", "nobody-of-that-name")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_minds_no_owner_who_is_made_before_the_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert ensure_secret(path, "", "nobody-of-that-name", dry=True) == ["made"]
    ensure_secret(path, "", None)
    assert ensure_secret(path, "", "nobody-of-that-name", dry=True) == ["owner of key -> nobody-of-that-name"]
