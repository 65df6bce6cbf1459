"""What LiteLLM calls: for every request who may ask, and for every attempt which replicas may be asked.

Sources: LiteLLM's documentation, "Custom Auth"; litellm/integrations/custom_logger.py and litellm/router.py
of v1.106.2 (async_filter_deployments, async_post_call_failure_deployment_hook).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.proxy.common_utils.http_parsing_utils import _read_request_body

from sightline_gateway import running

GONE = (502, 503, 504)
"""Statuses of a replica, or of what stands before it, that say: nobody is there just now."""

NO_RETRIES = 0
"""As an exception's `num_retries`: what comes next is asked at once. Before a single replica LiteLLM would
first wait half a second, then one, two and four, for the same answer.
"""


async def authenticate(request: Any, api_key: str) -> Any:
    """LiteLLM's custom_auth: who asks, or a 401, 403 or 429 in OpenAI's form."""
    now = running.now()
    if not api_key:
        raise _refused(401, "No API key: send the header 'Authorization: Bearer <key>'.", "invalid_api_key")
    client = now.keys.find(api_key.removeprefix("Bearer ").strip())
    if client is None:
        raise _refused(401, "The API key is wrong.", "invalid_api_key")
    if request.method == "POST":
        asked = str((await _read_request_body(request)).get("model") or "")
        if asked != now.settings.model:
            message = f"The model {asked[:200]!r} is not served here; it is {now.settings.model!r}."
            raise _refused(404, message, "model_not_found")
        if client.models and asked not in client.models:
            raise _refused(
                403, f"The key {client.name!r} may not ask for the model {asked!r}.", "model_denied"
            )
        if seconds := now.minutes.take(client):
            message = f"The key {client.name!r} may ask {client.rpm} times a minute; again in {seconds} s."
            raise _refused(429, message, "rate_limit_exceeded", {"Retry-After": str(seconds)})
    models = [now.settings.model] if not client.models else sorted(client.models)
    # The digest stands for the key wherever LiteLLM would write it.
    return UserAPIKeyAuth(api_key=client.digest.hex(), key_alias=client.name, models=models)


def _refused(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Exception:
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error")
    found: Exception = ProxyException(message, kind, None, status, headers, openai_code=code)
    return found


class RotationHook(CustomLogger):  # type: ignore[misc]
    """Leaves out replicas that do not see, and those that this request has met with an error."""

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: Any,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[Any]:
        watch = running.now().watch
        known = watch.rotation.standings
        asked = [deployment for deployment in healthy_deployments if _name(deployment) in known]
        if not asked:
            return healthy_deployments
        serving = watch.rotation.serving()
        left = [deployment for deployment in healthy_deployments if _name(deployment) in serving]
        if not left:
            raise litellm.ServiceUnavailableError(
                message=f"no replica of {model} sees just now ({watch.rotation.reasons()})",
                llm_provider="sightline",
                model=model,
                num_retries=NO_RETRIES,
            )
        tried = _tried(request_kwargs or {})
        return [deployment for deployment in left if _name(deployment) not in tried] or left

    async def async_post_call_failure_deployment_hook(
        self,
        request_data: Mapping[str, Any],
        exception: Exception,
        call_type: Any,
        fallback_depth: int | None = None,
    ) -> None:
        name = str(_metadata(request_data).get("model_info", {}).get("id", ""))
        if getattr(exception, "status_code", None) in GONE or "Connection error" in str(exception):
            running.now().watch.lost(name, f"a request found nobody: {str(exception)[:100]}")


def _name(deployment: Mapping[str, Any]) -> str:
    return str(deployment.get("model_info", {}).get("id", ""))


def _metadata(request: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("litellm_metadata", "metadata"):
        if isinstance(request.get(name), Mapping) and "model_info" in request[name]:
            found: Mapping[str, Any] = request[name]
            return found
    return {"model_info": request.get("model_info") or {}}


def _tried(request: Mapping[str, Any]) -> set[str]:
    """The replicas that earlier attempts of this request failed at."""
    for name in ("litellm_metadata", "metadata"):
        metadata = request.get(name)
        if isinstance(metadata, Mapping) and metadata.get("previous_models"):
            attempts = metadata["previous_models"]
            return {str(attempt.get("deployment_id")) for attempt in attempts if isinstance(attempt, Mapping)}
    return set()


rotation_hook = RotationHook()
