"""What LiteLLM calls before a request goes to Oracle's service: its limits are kept, an instance signs it.

Sources: litellm/integrations/custom_logger.py of v1.106.2 (async_pre_call_deployment_hook, called for each
attempt once the deployment is chosen), litellm/llms/oci/chat/generic.py (finish reasons).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.llms.oci.chat import generic

from sightline_gateway.oci_limits import capped, objection
from sightline_gateway.oci_params import INSTANCE_PRINCIPAL, OciSettings, read_oci
from sightline_gateway.oci_signer import Signers, instance_signer

log = logging.getLogger(__name__)
UNAUTHENTICATED = 401

_litellms_reason = generic.normalize_oci_finish_reason


def finish_reason(said: str | None) -> str | None:
    """LiteLLM makes "stop" of every reason that it does not know, also of the "length" with which the
    service's Llama models end an answer that was cut: a client could not tell.
    """
    return "length" if said == "length" else _litellms_reason(said)


class OciHook(CustomLogger):  # type: ignore[misc]
    """`settings` is asked when a request comes: LiteLLM makes its hooks before the gateway knows its own."""

    def __init__(
        self, settings: Callable[[], OciSettings], make: Callable[[str], Any] = instance_signer
    ) -> None:
        super().__init__()
        generic.normalize_oci_finish_reason = finish_reason
        # To count a streamed answer's tokens it would fetch Llama 3's tokenizer from the Hub, in the event
        # loop: where there is no way to the Hub, half a minute in which nobody is served.
        litellm.disable_hf_tokenizer_download = True
        self._settings = settings
        self._signers = Signers(lambda: make(settings().federation_endpoint))
        self._refused = False

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any
    ) -> dict[str, Any] | None:
        """Raises BadRequestError for what would be refused, ServiceUnavailableError without a token."""
        model = str(kwargs.get("model", ""))
        if not model.startswith("oci/"):
            return None
        if why := objection(kwargs.get("messages")):
            raise litellm.BadRequestError(message=why, model=model, llm_provider="oci")
        changed = {**kwargs, **capped(kwargs)}
        if self._settings().auth == INSTANCE_PRINCIPAL:
            changed["oci_signer"] = await self._signer(model)
        return changed

    async def async_post_call_failure_deployment_hook(
        self,
        request_data: Mapping[str, Any],
        exception: Exception,
        call_type: Any,
        fallback_depth: int | None = None,
    ) -> None:
        """A token may be refused before it is over: the next attempt comes with a new one."""
        if str(request_data.get("model", "")).startswith("oci/"):
            self._refused = getattr(exception, "status_code", None) == UNAUTHENTICATED

    async def _signer(self, model: str) -> Any:
        at_once, self._refused = self._refused, False
        try:
            return await self._signers.fresh(at_once)
        except Exception as problem:  # the SDK's own copy of requests raises, and the SDK
            why = f"{type(problem).__name__}: {problem}"[:300]
            log.warning("no token for this instance: %s", why)
            raise litellm.ServiceUnavailableError(
                message=f"this instance got no token from Oracle's cloud ({why})",
                model=model,
                llm_provider="oci",
            ) from None


def _settings() -> OciSettings:
    from sightline_gateway import running

    return read_oci(running.now().settings.oci)


oci_hook = OciHook(_settings)
"""What LiteLLM's `callbacks` name."""
