"""The bearer key: read from a file, compared in constant time, never shown."""

from __future__ import annotations

import hmac
import logging
import stat
from pathlib import Path

from sightline_serve import errors
from sightline_serve.errors import StartError

log = logging.getLogger(__name__)


def read_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in `path`, one a line, blank lines left out. Raises StartError if there is none to be had."""
    try:
        mode = path.stat().st_mode
        lines = path.read_bytes().split()
    except OSError as error:
        raise StartError(
            f"--api-key-file {path}: {error.strerror}. Write one key into it and make it mode 0600."
        ) from None
    if not lines:
        raise StartError(
            f"--api-key-file {path} is empty. Write one key into it, for example from: openssl rand -hex 32"
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s is open to group or others (mode %04o); chmod 600 it", path, stat.S_IMODE(mode))
    return tuple(lines)


def check(keys: tuple[bytes, ...], header: bytes | None) -> None:
    """Raises a 401 ApiError unless `header` (Authorization) carries one of `keys`. No keys, no check."""
    if not keys:
        return
    scheme, _, key = (header or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        raise errors.unauthorised("No API key: send the header 'Authorization: Bearer <key>'.")
    # Every key is compared, so that the time taken tells nothing about which one was near.
    matches = [hmac.compare_digest(key.strip(), known) for known in keys]
    if not any(matches):
        raise errors.unauthorised("The API key is wrong.")
