"""Signs requests by Oracle's published recipe, to be right or wrong in one thing as a test wants it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.stand_ins.oci import MODEL
from tests.stand_ins.oci_identity import COMPARTMENT

PATH = "/20231130/actions/chat"
SIGNED = ("date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256")


def chat_body(**request: Any) -> dict[str, Any]:
    """A chat that the service takes; `request` replaces parts of its chatRequest."""
    text = {"role": "USER", "content": [{"type": "TEXT", "text": "What is 3 plus 4?"}]}
    chat = {"apiFormat": "GENERIC", "messages": [text], "maxTokens": 20} | request
    return {
        "compartmentId": COMPARTMENT,
        "servingMode": {"servingType": "ON_DEMAND", "modelId": MODEL},
        "chatRequest": chat,
    }


def signed(
    key: RSAPrivateKey,
    key_id: str,
    host: str,
    body: Mapping[str, Any],
    date: float | None = None,
    names: tuple[str, ...] = SIGNED,
    path: str = PATH,
) -> tuple[bytes, dict[str, str]]:
    """The body as it is sent, and headers. `names` are those that are signed."""
    raw = json.dumps(body).encode()
    headers = {
        "date": formatdate(date, usegmt=True),
        "host": host,
        "content-length": str(len(raw)),
        "content-type": "application/json",
        "x-content-sha256": base64.b64encode(hashlib.sha256(raw).digest()).decode(),
    }
    lines = [f"{n}: {f'post {path}' if n == '(request-target)' else headers[n]}" for n in names]
    signature = base64.b64encode(key.sign("\n".join(lines).encode(), PKCS1v15(), hashes.SHA256())).decode()
    headers["authorization"] = (
        f'Signature version="1",keyId="{key_id}",algorithm="rsa-sha256",'
        f'headers="{" ".join(names)}",signature="{signature}"'
    )
    return raw, headers
