"""Keys: how a file of them is read, who passes, and that a bad new file changes nothing."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from sightline_serve import auth
from sightline_serve.auth import KeyRing, read_keys
from sightline_serve.errors import ApiError, StartError
from sightline_serve.places import Places


def file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def ring(tmp_path: Path, text: str) -> KeyRing:
    path = file(tmp_path / "key", text)
    return KeyRing(read_keys(path), path)


def whose(keys: KeyRing, key: str) -> str | None:
    found = keys.check(b"Bearer " + key.encode())
    return found.name if found else None


def test_a_line_is_a_key_or_a_name_and_a_key(tmp_path: Path) -> None:
    keys = ring(tmp_path, "\n one \r\n# old ones below\n\nalice two\nthree\n")
    assert [whose(keys, key) for key in ("one", "two", "three")] == ["key-1", "alice", "key-3"]
    for no_key in ("alice", "#", "old", "alice two"):
        with pytest.raises(ApiError):
            whose(keys, no_key)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" \n", "is empty"),
        ("# none yet\n", "is empty"),
        ("hush\nalice hush-hush again\n", "line 2: more than two words"),
        ("al/ice hush-hush\n", "line 1: the name may hold"),
        ("\u00e9 hush-hush\n", "line 1: the name may hold"),
        ("a hush-hush\n\nb hush-hush\n", "line 3: the key or its name stands in an earlier line"),
        ("a hush-hush\na hush\n", "line 2: the key or its name stands in an earlier line"),
    ],
)
def test_a_bad_key_file_says_where_and_shows_no_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StartError, match=says) as caught:
        read_keys(file(tmp_path / "file", text))
    assert "hush" not in str(caught.value)


def test_an_open_key_file_is_warned_of_by_name_not_by_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file(tmp_path / "key", "hush-hush")
    path.chmod(0o644)
    read_keys(path)
    assert "mode 0644" in caplog.text
    assert "hush" not in caplog.text
    caplog.clear()
    path.chmod(0o600)
    read_keys(path)
    assert not caplog.text


def test_a_key_is_not_kept_only_its_digest(tmp_path: Path) -> None:
    keys = ring(tmp_path, "alice hush-hush")
    assert "hush" not in repr(keys.keys)
    # sha256("abc"), FIPS 180-2, appendix B.1
    digest = ring(tmp_path, "abc").keys[0].digest.hex()
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("header", [b"Bearer right", b"bearer right", b"Bearer  right ", b"Bearer other"])
def test_a_right_key_passes(tmp_path: Path, header: bytes) -> None:
    assert ring(tmp_path, "right\nother").check(header) is not None


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Bearer wrong", b"Basic right", b"right", b"Bearer \xff"]
)
def test_a_wrong_or_missing_key_is_a_401(tmp_path: Path, header: bytes | None) -> None:
    with pytest.raises(ApiError) as caught:
        ring(tmp_path, "right").check(header)
    assert (caught.value.status, caught.value.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_no_keys_no_check() -> None:
    assert KeyRing(()).check(None) is None


@pytest.mark.parametrize("given", ["a", "b", "c", "wrong"])
def test_every_key_is_compared_whichever_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    lengths: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        lengths.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)

    keys = ring(tmp_path, "a\nb\nc\n")
    monkeypatch.setattr(auth, "hmac", Watched)
    if given == "wrong":
        with pytest.raises(ApiError):
            whose(keys, given)
    else:
        assert whose(keys, given) == f"key-{'abc'.index(given) + 1}"
    assert lengths == [(32, 32)] * 3


def test_a_new_file_brings_new_keys_and_ends_the_old(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    keys = ring(tmp_path, "alice first-key")
    file(tmp_path / "key", "bob second-key")
    keys.reload()
    assert whose(keys, "second-key") == "bob"
    with pytest.raises(ApiError):
        whose(keys, "first-key")
    assert "keys read again: bob" in caplog.text
    assert "second-key" not in caplog.text


@pytest.mark.parametrize("damage", ["gone", "empty", "three words"])
def test_a_bad_new_file_keeps_the_old_keys_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    keys = ring(tmp_path, "alice first-key")
    match damage:
        case "gone":
            (tmp_path / "key").unlink()
        case "empty":
            file(tmp_path / "key", "")
        case _:
            file(tmp_path / "key", "hush hush hush")
    keys.reload()
    assert whose(keys, "first-key") == "alice"
    assert "the keys stay as they were" in caplog.text
    assert "hush" not in caplog.text


def test_places_are_given_back_and_a_key_has_its_own_limit(tmp_path: Path) -> None:
    alice, bob = ring(tmp_path, "alice a\nbob b").keys
    places = Places(total=3, per_key=2)
    with places.one(alice), places.one(alice):
        with pytest.raises(ApiError) as busy, places.one(alice):
            pass
        with places.one(bob), pytest.raises(ApiError) as full, places.one(bob):
            pass
    assert [(caught.value.status, caught.value.code) for caught in (busy, full)] == [
        (429, "key_busy"),
        (429, "queue_full"),
    ]
    assert all(int(caught.value.headers["Retry-After"]) > 0 for caught in (busy, full))
    assert places.taken.total() == 0
