"""The stand-in of OCI is as strict as the service: what is wrong in one thing is refused, with that reason.

That it takes what Oracle's own SDK and LiteLLM send is seen in test_ask_oci.py and tests/gateway.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.stand_ins.oci import ANSWERED, MODEL, OciStandIn
from tests.stand_ins.oci_identity import REGION, ApiKey, Instance, new_key
from tests.unit.oci_signing import PATH, SIGNED, chat_body, signed

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def api_key() -> ApiKey:
    """One key for all: making one takes a tenth of a second."""
    return ApiKey()


@pytest.fixture
def service(api_key: ApiKey) -> Iterator[OciStandIn]:
    """A service that listens."""
    with OciStandIn(api_key=api_key).serve() as service:
        yield service


def post(service: OciStandIn, body: dict[str, Any], **how: Any) -> httpx.Response:
    """Send `body` signed by the user's key, or as `how` (the words of `signed`) says."""
    words: dict[str, Any] = {"key": service.api_key.private, "key_id": service.api_key.key_id} | how
    raw, headers = signed(host=httpx.URL(service.url).netloc.decode(), body=body, **words)
    return httpx.post(f"{service.url}{PATH}", content=raw, headers=headers, trust_env=False)


def test_a_signed_chat_is_answered(service: OciStandIn) -> None:
    answered = post(service, chat_body())
    assert answered.status_code == 200
    said = answered.json()
    assert (said["modelId"], said["chatResponse"]["timeCreated"]) == (MODEL, ANSWERED)
    assert said["chatResponse"]["choices"][0]["message"]["content"] == [
        {"type": "TEXT", "text": "A red circle."}
    ]
    assert service.asked[0]["messages"] == [{"role": "user", "content": "What is 3 plus 4?"}]


WRONG_SIGNATURES = {
    "another's key": ({"key": new_key()}, "Failed to verify"),
    "an unknown keyId": ({"key_id": "ocid1.tenancy.oc1..x/ocid1.user.oc1..y/00:11"}, "keyId is not known"),
    "a date of six minutes ago": ({"seconds_off": -360}, "not within allowed clock skew"),
    "a date in six minutes": ({"seconds_off": 360}, "not within allowed clock skew"),
    "an unsigned body": ({"names": SIGNED[:3]}, "not signed: content-length"),
    "an unsigned host": ({"names": ("date", "(request-target)", *SIGNED[3:])}, "not signed: host"),
    "another path": ({"path": "/20231130/actions/embedText"}, "Failed to verify"),
}


@pytest.mark.parametrize("wrong", WRONG_SIGNATURES, ids=lambda wrong: wrong)
def test_a_wrong_signature_is_refused(service: OciStandIn, wrong: str) -> None:
    how, reason = WRONG_SIGNATURES[wrong]
    if "seconds_off" in how:  # of now, not of when the tests were collected
        how = {"date": time.time() + how["seconds_off"]}
    answered = post(service, chat_body(), **how)
    assert (answered.status_code, answered.json()["code"]) == (401, "NotAuthenticated")
    assert reason in answered.json()["message"]
    assert not service.asked


def test_a_body_changed_on_its_way_is_refused(service: OciStandIn) -> None:
    words = (service.api_key.private, service.api_key.key_id, httpx.URL(service.url).netloc.decode())
    raw, headers = signed(*words, body=chat_body())
    changed = raw.replace(b"3 plus 4", b"3 plus 5")
    answered = httpx.post(f"{service.url}{PATH}", content=changed, headers=headers, trust_env=False)
    assert answered.status_code == 401
    assert "SHA-256" in answered.json()["message"]


def test_no_signature_is_refused(service: OciStandIn) -> None:
    headers = {"Authorization": "Bearer sk-123"}
    answered = httpx.post(f"{service.url}{PATH}", json=chat_body(), headers=headers, trust_env=False)
    assert answered.status_code == 401


def _picture(url: str) -> list[dict[str, Any]]:
    return [{"role": "USER", "content": [{"type": "IMAGE", "imageUrl": {"url": url}}]}]


TOO_LARGE = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + bytes(5_000_001)).decode()
WRONG_CHATS: dict[str, tuple[dict[str, Any], str]] = {
    "a picture's address": ({"messages": _picture("https://example.org/a.png")}, "must be a data URL"),
    "a GIF": ({"messages": _picture("data:image/gif;base64,R0lGODlh")}, "must be a data URL"),
    "a PNG called JPEG": ({"messages": _picture(f"data:image/jpeg;base64,{PIXEL}")}, "no jpeg"),
    "a picture of 5 MB and a byte": ({"messages": _picture(TOO_LARGE)}, "larger than 5 MB"),
    "4001 tokens": ({"maxTokens": 4001}, "1 to 4000"),
    "a word that it does not know": ({"max_tokens": 5}, "unknown: max_tokens"),
    "another API's format": ({"apiFormat": "COHERE"}, "GENERIC"),
}


@pytest.mark.parametrize("wrong", WRONG_CHATS, ids=lambda wrong: wrong)
def test_what_the_service_does_not_take_is_refused(service: OciStandIn, wrong: str) -> None:
    request, reason = WRONG_CHATS[wrong]
    answered = post(service, chat_body(**request))
    assert answered.status_code == 400
    assert reason in answered.json()["message"]


def test_a_picture_is_handed_on(service: OciStandIn) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    assert post(service, chat_body(messages=_picture(url))).status_code == 200
    assert service.asked[0]["messages"][0]["content"] == [{"type": "image_url", "image_url": {"url": url}}]


def test_throttling_and_retirement(service: OciStandIn) -> None:
    service.throttle = 1
    assert post(service, chat_body()).status_code == 429
    assert post(service, chat_body()).status_code == 200
    service.retires = "2100-01-01T00:00:00Z"
    assert post(service, chat_body()).headers["model-retirement-info"] == service.retires
    service.retires = "2026-01-01T00:00:00Z"
    assert post(service, chat_body()).status_code == 404


def test_metadata_asks_for_its_header(service: OciStandIn) -> None:
    url = f"{service.url}/opc/v2/instance/region"
    assert httpx.get(url, trust_env=False).status_code == 401
    answered = httpx.get(url, headers={"Authorization": "Bearer Oracle"}, trust_env=False)
    assert answered.text == REGION


def test_a_token_ends() -> None:
    """Exchanging certificates for it is seen with Oracle's SDK."""
    instance = Instance(token_seconds=60)
    session = new_key().public_key()
    instance.tokens["abc"] = (session, 1000.0)
    assert instance.session_key("ST$abc", 999.0) is session
    assert instance.session_key("ST$abc", 1000.0) is None
    assert instance.session_key("ST$other", 0.0) is None
