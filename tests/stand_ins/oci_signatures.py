"""Checks the signatures of requests as Oracle Cloud Infrastructure does.

Rules: https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm (signature version 1): RSA
over SHA-256 of the headers named in `headers`, in that order: date, (request-target) and host at least, and
for a request with a body its length, type and SHA-256 too; the date is within five minutes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

SKEW_SECONDS = 300
BARE = ("date", "(request-target)", "host")
OF_BODY = ("content-length", "content-type", "x-content-sha256")


class Refused(Exception):
    """The service answers an error in place of what was asked for."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def unauthenticated(message: str) -> Refused:
    """401 as the service words it."""
    return Refused(401, "NotAuthenticated", message)


def check_signature(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    find_key: Callable[[str], RSAPublicKey | None],
    now: float,
    required: tuple[str, ...] = BARE,
) -> str:
    """Return the keyId of a request whose signature holds.

    `headers` by lower-case names, `target` is path and query, `now` in seconds since 1970. Raises Refused
    (401).
    """
    words = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("authorization", "")))
    if not headers.get("authorization", "").startswith("Signature ") or words.get("version") != "1":
        raise unauthenticated(
            "The required information to complete authentication was not provided or was incorrect."
        )
    if words.get("algorithm") != "rsa-sha256":
        raise unauthenticated(f"algorithm {words.get('algorithm')!r} is not rsa-sha256")
    signed = words.get("headers", "").split()
    wanted = (*required, *(OF_BODY if method == "POST" else ()))
    if missing := [name for name in wanted if name not in signed]:
        raise unauthenticated(f"not signed: {' '.join(missing)}")
    key = find_key(words.get("keyId", ""))
    if key is None:
        raise unauthenticated("The keyId is not known, or its token has expired.")
    _check_date(headers.get("date", ""), now)
    if method == "POST":
        _check_body(headers, body)
    text = "\n".join(
        f"{name}: {f'{method.lower()} {target}' if name == '(request-target)' else headers.get(name, '')}"
        for name in signed
    )
    try:
        key.verify(base64.b64decode(words.get("signature", "")), text.encode(), PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise unauthenticated("Failed to verify the HTTP(S) Signature") from None
    return str(words["keyId"])


def _check_date(text: str, now: float) -> None:
    try:
        sent = parsedate_to_datetime(text).timestamp()
    except ValueError:
        raise unauthenticated(f"Date {text!r} is no date") from None
    if abs(sent - now) > SKEW_SECONDS:
        current = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)
        raise unauthenticated(f"Date '{text}' is not within allowed clock skew. Current '{current}'")


def _check_body(headers: Mapping[str, str], body: bytes) -> None:
    if headers.get("x-content-sha256") != base64.b64encode(hashlib.sha256(body).digest()).decode():
        raise unauthenticated("x-content-sha256 is not the SHA-256 of the body")
    if headers.get("content-length") != str(len(body)):
        raise unauthenticated("content-length is not the length of the body")
