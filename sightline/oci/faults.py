"""What the service's errors mean and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import oci

from sightline.oci.errors import OciTrouble


@contextmanager
def told(model: str, region: str) -> Iterator[None]:
    """Turn the SDK's errors within the block into OciTrouble."""
    try:
        yield
    except oci.exceptions.ServiceError as problem:
        raise _meaning(problem, model, region) from None
    except (oci.exceptions.RequestException, oci.exceptions.ConnectTimeout) as problem:
        raise OciTrouble(
            f"the service in {region} cannot be reached ({type(problem).__name__})",
            "check the region's name and the line (a proxy? https_proxy is used)",
            ours=False,
        ) from None


def _meaning(problem: oci.exceptions.ServiceError, model: str, region: str) -> OciTrouble:
    said = f"{problem.status} {problem.code}: {problem.message}"
    if problem.status == 401 and "clock skew" in str(problem.message).lower():
        return OciTrouble(
            f"this machine's clock is more than five minutes wrong ({problem.message})",
            "set it (timedatectl set-ntp true), then ask again",
            ours=False,
        )
    known = {
        401: (
            f"the service does not accept the key ({said})",
            "is the API key still in the console, of this user and tenancy? A new one is known in a minute",
        ),
        404: (
            f"{model} is not there for you in {region} ({said})",
            "scripts/ask-oci --check says what the region offers; else the compartment is wrong, or a policy "
            "is missing: allow group G to use generative-ai-family in compartment C",
        ),
        429: (
            f"the service is too busy for this tenancy ({said})",
            "wait and ask again: limits on demand change with the load; --tries N asks more often",
        ),
        400: (f"the service does not take the request ({said})", "mend what it names"),
    }
    what, remedy = known.get(
        problem.status, (f"the service failed ({said})", "ask again later; --tries N asks more often")
    )
    return OciTrouble(what, remedy, ours=False)
