"""An instance's signature with a token that holds.

LiteLLM calls a signer's `do_request_sign`; Oracle's looks after its token in `__call__` alone (oci 2.189.0,
oci/auth/signers/security_token_signer.py), so that a gateway would get 401 once the first token is over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


class FreshSigner:
    """Around a signer of Oracle's whose token is got anew when it is nearly over."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self._lock = threading.Lock()

    def do_request_sign(self, request: Any, *, enforce_content_headers: bool = True) -> None:
        """Sign `request` in place."""
        self._signer(request, enforce_content_headers)

    def refresh(self, at_once: bool = False) -> None:
        """Get a new token if the present one is nearly over, or `at_once`. Blocks: it asks two services."""
        with self._lock:
            if at_once:
                self._signer.refresh_security_token()
            else:
                self._signer.federation_client.get_security_token()


class Signers:
    """Makes the signer when it is first needed and sees to its token before each use, off the event loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._signer: FreshSigner | None = None
        self._lock = threading.Lock()

    async def fresh(self, at_once: bool = False) -> FreshSigner:
        """A signer with a token that holds. Raises whatever Oracle's SDK does."""
        return await asyncio.to_thread(self._fresh, at_once)

    def _fresh(self, at_once: bool) -> FreshSigner:
        with self._lock:
            if self._signer is None:
                self._signer = FreshSigner(self._make())
            else:
                self._signer.refresh(at_once)
            return self._signer


def instance_signer(federation_endpoint: str) -> Any:
    """Oracle's signer of the instance that this runs on; its metadata is asked once, without waiting."""
    import oci

    return oci.auth.signers.InstancePrincipalsSecurityTokenSigner(
        retry_strategy=oci.retry.NoneRetryStrategy(), federation_endpoint=federation_endpoint or None
    )
