"""Oracle's managed service as a deployment of LiteLLM's: what it is told, and what is passed on.

Sources: litellm/llms/oci/common_utils.py (credentials, addresses) of v1.106.2; the service's limits:
https://docs.oracle.com/en-us/iaas/Content/generative-ai/meta-llama-3-2-90b.htm
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

API_KEY, INSTANCE_PRINCIPAL = "api_key", "instance_principal"

MOST_ANSWER_TOKENS = 4000
"""Of an answer on demand. LiteLLM asks for 4,096 where the client names no number."""

MOST_PICTURE_BYTES = 5_000_000


@dataclass(frozen=True)
class OciSettings:
    """Where the service is and who asks. Nothing here is secret: `key_file` is the path of the private key.

    `endpoint` and `federation_endpoint` replace the region's own addresses.
    """

    region: str
    compartment: str
    model: str = "meta.llama-3.2-90b-vision-instruct"
    auth: str = API_KEY
    user: str = ""
    tenancy: str = ""
    fingerprint: str = ""
    key_file: str = ""
    endpoint: str = ""
    federation_endpoint: str = ""


OF_A_KEY = ("user", "tenancy", "fingerprint", "key_file")


def read_oci(told: Mapping[str, Any]) -> OciSettings:
    """The settings' entry `oci`. Raises ValueError: which of its entries is wrong, and why."""
    known = [item.name for item in fields(OciSettings)]
    if unknown := sorted(set(told) - set(known)):
        raise ValueError(
            f"oci has an entry {unknown[0]!r}, which is not known; there are: {', '.join(known)}"
        )
    for name, value in told.items():
        if not isinstance(value, str):
            raise ValueError(f"oci.{name} should be a text, not {value!r}")
    for name in ("region", "compartment"):
        if not told.get(name):
            raise ValueError(f"oci lacks {name}")
    settings = OciSettings(**told)
    if settings.auth not in (API_KEY, INSTANCE_PRINCIPAL):
        raise ValueError(f"oci.auth should be {API_KEY} or {INSTANCE_PRINCIPAL}, not {settings.auth!r}")
    if settings.auth == API_KEY:
        if lacking := [name for name in OF_A_KEY if not getattr(settings, name)]:
            raise ValueError(f"oci lacks {lacking[0]}, which an API key needs")
    elif given := [name for name in OF_A_KEY if getattr(settings, name)]:
        raise ValueError(f"oci.{given[0]} is an API key's; an instance principal has none")
    return settings


def litellm_params(settings: OciSettings) -> dict[str, Any]:
    """What a deployment's `litellm_params` hold. An instance principal needs oci_hook too."""
    told = {
        "model": f"oci/{settings.model}",
        "oci_region": settings.region,
        "oci_compartment_id": settings.compartment,
        "oci_user": settings.user,
        "oci_tenancy": settings.tenancy,
        "oci_fingerprint": settings.fingerprint,
        "oci_key_file": settings.key_file,
        "api_base": settings.endpoint,
    }
    return {name: value for name, value in told.items() if value} | {"drop_params": True}
