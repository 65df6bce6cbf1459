"""Who asks, and where: clients of Oracle's SDK for a profile's API key or for the instance itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import oci

from sightline.oci.endpoints import check_endpoint
from sightline.oci.errors import OciTrouble
from sightline.oci.profile import Profile

TIMEOUT = (10.0, 300.0)
"""Seconds to connect, and to wait for more of an answer."""


@dataclass(frozen=True)
class Access:
    """`config` and `signer` (None: the config's API key) as the SDK's clients take them.

    `endpoint` replaces the region's own ("").
    """

    config: dict[str, Any] = field(repr=False)
    signer: Any
    region: str
    compartment: str
    endpoint: str = ""

    def client(self, kind: type[Any], tries: int) -> Any:
        """A client of `kind`, which asks up to `tries` times where the service is too busy."""
        more: dict[str, Any] = {"signer": self.signer} if self.signer else {}
        if self.endpoint:
            more["service_endpoint"] = self.endpoint
        return kind(self.config, timeout=TIMEOUT, retry_strategy=_retries(tries), **more)


def by_api_key(profile: Profile, compartment: str = "", endpoint: str = "") -> Access:
    """Access as the profile's user; the compartment is the tenancy's root one if none is named."""
    check_endpoint(endpoint)
    config: dict[str, Any] = {
        "user": profile.user,
        "tenancy": profile.tenancy,
        "fingerprint": profile.fingerprint,
        "region": profile.region,
        "key_file": str(profile.key_file),
        "pass_phrase": profile.passphrase,
    }
    return Access(config, None, profile.region, compartment or profile.tenancy, endpoint)


def by_instance(
    compartment: str = "", region: str = "", endpoint: str = "", federation_endpoint: str = ""
) -> Access:
    """Access as the OCI instance that this runs on. Raises OciTrouble where it is none or may not."""
    check_endpoint(endpoint)
    try:
        signer = oci.auth.signers.InstancePrincipalsSecurityTokenSigner(
            retry_strategy=oci.retry.NoneRetryStrategy(), federation_endpoint=federation_endpoint or None
        )
    except oci.exceptions.ServiceError as problem:
        if "/opc/v2/" in str(problem.message):
            raise _no_instance(f"it says {problem.status}") from None
        raise OciTrouble(
            f"this instance got no token: {problem.status} {problem.message}",
            "put it into a dynamic group that a policy allows to use generative-ai-family",
        ) from None
    except Exception as problem:  # what the SDK's own copy of requests raises, and RuntimeError
        raise _no_instance(type(problem).__name__) from None
    where = region or str(signer.region)
    return Access({"region": where}, signer, where, compartment or str(signer.tenancy_id), endpoint)


def _no_instance(why: str) -> OciTrouble:
    return OciTrouble(
        f"the instance's metadata cannot be read ({why})",
        "an instance principal exists on an OCI instance only; elsewhere use an API key",
    )


def _retries(tries: int) -> Any:
    if tries <= 1:
        return oci.retry.NoneRetryStrategy()
    builder = oci.retry.RetryStrategyBuilder(
        max_attempts_check=True,
        max_attempts=tries,
        total_elapsed_time_check=True,
        total_elapsed_time_seconds=120,
        retry_max_wait_between_calls_seconds=10,
        service_error_check=True,
        service_error_retry_config={429: []},
        service_error_retry_on_any_5xx=True,
    )
    return builder.get_retry_strategy()
