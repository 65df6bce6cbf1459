"""Oracle's service as a deployment of the gateway: settings, limits, a token that is fresh when used.

That LiteLLM does with it what it should is seen in test_gateway_oci.py.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sightline_gateway.oci_limits import capped, objection
from sightline_gateway.oci_params import (
    MOST_ANSWER_TOKENS,
    MOST_PICTURE_BYTES,
    OciSettings,
    litellm_params,
    read_oci,
)
from sightline_gateway.oci_signer import Signers

from sightline import oci

BY_KEY = {
    "region": "us-chicago-1",
    "compartment": "ocid1.compartment.oc1..a",
    "user": "ocid1.user.oc1..b",
    "tenancy": "ocid1.tenancy.oc1..c",
    "fingerprint": "12:34",
    "key_file": "/etc/oci.pem",
}
BY_INSTANCE = {
    "region": "us-chicago-1",
    "compartment": "ocid1.compartment.oc1..a",
    "auth": "instance_principal",
}


def test_the_host_s_facts_are_the_controller_s() -> None:
    assert (MOST_ANSWER_TOKENS, MOST_PICTURE_BYTES) == (oci.MOST_ANSWER_TOKENS, oci.MOST_PICTURE_BYTES)
    assert OciSettings("r", "c").model == oci.MODEL


def test_params_of_a_key() -> None:
    assert litellm_params(read_oci(BY_KEY)) == {
        "model": "oci/meta.llama-3.2-90b-vision-instruct",
        "oci_region": "us-chicago-1",
        "oci_compartment_id": "ocid1.compartment.oc1..a",
        "oci_user": "ocid1.user.oc1..b",
        "oci_tenancy": "ocid1.tenancy.oc1..c",
        "oci_fingerprint": "12:34",
        "oci_key_file": "/etc/oci.pem",
        "drop_params": True,
    }


def test_params_of_an_instance() -> None:
    params = litellm_params(read_oci(BY_INSTANCE | {"endpoint": "http://127.0.0.1:9"}))
    assert params["api_base"] == "http://127.0.0.1:9"
    assert not {"oci_user", "oci_key_file"} & set(params)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (BY_KEY | {"regoin": "x"}, "has an entry 'regoin'"),
    "no text": (BY_KEY | {"region": 3}, "oci.region should be a text"),
    "no compartment": (BY_KEY | {"compartment": ""}, "oci lacks compartment"),
    "no key": (BY_KEY | {"key_file": ""}, "oci lacks key_file, which an API key needs"),
    "other auth": (BY_KEY | {"auth": "session"}, "api_key or instance_principal, not 'session'"),
    "a key too many": (BY_INSTANCE | {"user": "u"}, "oci.user is an API key's"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong)
def test_wrong_settings(wrong: str) -> None:
    told, said = WRONG[wrong]
    with pytest.raises(ValueError, match=said):
        read_oci(told)


def test_lengths_are_capped() -> None:
    assert capped({}) == {"max_tokens": 4000}
    assert capped({"max_tokens": 64}) == {"max_tokens": 64}
    assert capped({"max_completion_tokens": 9000}) == {"max_completion_tokens": 4000}


def _asking(url: Any) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "image_url", "image_url": url}, {"type": "text", "text": "?"}]},
    ]


def test_pictures() -> None:
    # 4 letters of base64 are 3 bytes: 6,666,668 letters, one of them padding, are 5,000,000 bytes.
    most = "data:image/jpeg;base64," + "A" * 6_666_667 + "="
    assert objection(_asking({"url": most})) == ""
    more = "data:image/jpeg;base64," + "A" * 6_666_668
    assert (
        objection(_asking({"url": more}))
        == "a picture has 5,000,001 bytes, and this service takes up to 5,000,000"
    )
    for url in ("https://example.org/a.png", "data:image/gif;base64,R0lG", "data:image/webp;base64,R0lG"):
        assert f"begins with {url[:24]!r}" in objection(_asking({"url": url}))
    assert objection(_asking("data:image/png;base64,AAAA")) == ""
    assert objection(None) == objection([{"role": "user", "content": "What is 3 plus 4?"}]) == ""


class SignerStandIn:
    """Stands for Oracle's signer: looks after its token in `__call__` and not in `do_request_sign`."""

    def __init__(self) -> None:
        self.refreshed = 0
        self.looked = 0
        self.federation_client = SimpleNamespace(get_security_token=self._look)

    def _look(self) -> None:
        self.looked += 1

    def refresh_security_token(self) -> None:
        self.refreshed += 1

    def __call__(self, request: dict[str, str], enforce_content_headers: bool) -> None:
        self._look()
        self.do_request_sign(request, enforce_content_headers)

    def do_request_sign(self, request: dict[str, str], enforce_content_headers: bool) -> None:
        request["signed"] = str(enforce_content_headers)


def test_the_token_is_looked_after_before_each_use() -> None:
    made: list[SignerStandIn] = []

    def make() -> SignerStandIn:
        made.append(SignerStandIn())
        return made[-1]

    signers = Signers(make)
    request: dict[str, str] = {}

    async def use() -> None:
        await asyncio.gather(*(signers.fresh() for _ in range(3)))
        (await signers.fresh()).do_request_sign(request, enforce_content_headers=True)

    asyncio.run(use())
    assert len(made) == 1
    assert made[0].looked == 4  # three that found a signer, and the signature itself
    assert request == {"signed": "True"}
    asyncio.run(signers.fresh(at_once=True))
    assert made[0].refreshed == 1


def test_a_signer_that_could_not_be_made_is_tried_again() -> None:
    attempts = []

    def make() -> SignerStandIn:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("no metadata")
        return SignerStandIn()

    signers = Signers(make)
    with pytest.raises(ConnectionError):
        asyncio.run(signers.fresh())
    asyncio.run(signers.fresh())
    assert len(attempts) == 2
