"""The bearer keys: read from a file, compared in constant time, read anew on SIGHUP, never shown."""

from __future__ import annotations

import hashlib
import hmac
import logging
import stat
from dataclasses import dataclass, field
from pathlib import Path

from sightline_serve import errors
from sightline_serve.errors import StartError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """One who may ask. `name` is shown in the log; of the key itself only its SHA-256 is kept (32 bytes)."""

    name: str
    digest: bytes = field(repr=False)


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in `path`: one a line, `KEY` or `NAME KEY`; blank lines and lines with # are left out.

    Raises StartError if the file cannot be read, holds no key, or has a line that is neither. The message
    names the line and never what stands in it.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise StartError(
            f"--api-key-file {path}: {error.strerror}. Write one key into it and make it mode 0600."
        ) from None
    keys: list[Key] = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            keys.append(_read_line(path, number, line.split(), keys))
    if not keys:
        raise StartError(
            f"--api-key-file {path} is empty. Write one key into it, for example from: openssl rand -hex 32"
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s is open to group or others (mode %04o); chmod 600 it", path, stat.S_IMODE(mode))
    return tuple(keys)


def _read_line(path: Path, number: int, words: list[bytes], before: list[Key]) -> Key:
    place = f"--api-key-file {path}, line {number}"
    if len(words) > 2:
        raise StartError(f"{place}: more than two words. A line is a key, or a name and a key.")
    name = words[0].decode("ascii", "replace") if len(words) == 2 else f"key-{len(before) + 1}"
    if not all(letter.isalnum() or letter in "-_." for letter in name) or "\ufffd" in name:
        raise StartError(f"{place}: the name may hold letters, digits, '-', '_' and '.' only.")
    key = Key(name, hashlib.sha256(words[-1]).digest())
    if any(key.digest == other.digest or key.name == other.name for other in before):
        raise StartError(f"{place}: the key or its name stands in an earlier line too.")
    return key


class KeyRing:
    """The keys of now. No keys: everybody may ask."""

    def __init__(self, keys: tuple[Key, ...], path: Path | None = None) -> None:
        self.keys = keys
        self.path = path

    def reload(self) -> None:
        """Reads the file again. A file that cannot be used changes nothing, and the log says why."""
        if self.path is None:
            log.warning("there is no --api-key-file to read again")
            return
        try:
            self.keys = read_keys(self.path)
        except StartError as error:
            log.error("the keys stay as they were: %s", error)
            return
        log.info("keys read again: %s", ", ".join(key.name for key in self.keys))

    def check(self, header: bytes | None) -> Key | None:
        """Whose key `header` (Authorization) carries; None where none is asked for. Raises a 401 ApiError."""
        if not self.keys:
            return None
        scheme, _, given = (header or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not given.strip():
            raise errors.unauthorised("No API key: send the header 'Authorization: Bearer <key>'.")
        digest = hashlib.sha256(given.strip()).digest()
        # Digests are of one length, and every key is compared: the time taken tells neither how near a guess
        # was nor which key it met.
        found: Key | None = None
        for key in self.keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        if found is None:
            raise errors.unauthorised("The API key is wrong.")
        return found
