"""LiteLLM's configuration, worked out from the settings. Keys stand in it as names of variables."""

from __future__ import annotations

import re
from typing import Any

from sightline_gateway.oci_params import litellm_params, read_oci
from sightline_gateway.settings import Replica, Settings

FALLBACK = "sightline-last-resort"
"""The group of what answers when no replica does. Clients never ask for it by name."""

AUTH = "sightline_gateway.hooks.authenticate"
HOOKS = "sightline_gateway.hooks.rotation_hook"
OCI_HOOK = "sightline_gateway.oci_hook.oci_hook"


def key_variable(replica: str) -> str:
    """The environment variable that holds a replica's key."""
    return "SIGHTLINE_KEY_" + re.sub(r"\W", "_", replica).upper() + f"_{replica.encode().hex()}"


def litellm_config(settings: Settings) -> dict[str, Any]:
    """Every replica a deployment of one name, and Oracle's service, if it is told of, what answers for them.

    Sources: LiteLLM's documentation, "Config.yaml" and "Load balancing"; the proxy itself, v1.106.2.
    """
    models = [_deployment(settings, replica) for replica in settings.replicas]
    router: dict[str, Any] = {
        "routing_strategy": "least-busy",
        "num_retries": settings.retries,
        # A replica that is gone is known by the watch; what else fails is left out for a while by this.
        "allowed_fails": 3,
        "cooldown_time": settings.cooldown,
        "retry_after": 0,
        "timeout": settings.timeout,
        "stream_timeout": settings.timeout,
    }
    callbacks = [HOOKS, "prometheus"]
    if settings.oci:
        group = FALLBACK if models else settings.model
        params = litellm_params(read_oci(settings.oci))
        models.append({"model_name": group, "litellm_params": params, "model_info": {"id": "oci"}})
        callbacks.append(OCI_HOOK)
        if group == FALLBACK:
            router["fallbacks"] = [{settings.model: [FALLBACK]}]
    return {
        "model_list": models,
        "router_settings": router,
        "litellm_settings": {
            "drop_params": True,
            "telemetry": False,
            "request_timeout": settings.timeout,
            "callbacks": callbacks,
            "turn_off_message_logging": True,
        },
        "general_settings": {
            "custom_auth": AUTH,
            "disable_spend_logs": True,
            "disable_error_logs": True,
        },
    }


def _deployment(settings: Settings, replica: Replica) -> dict[str, Any]:
    return {
        "model_name": settings.model,
        "litellm_params": {
            "model": f"openai/{replica.model}",
            "api_base": replica.url,
            "api_key": f"os.environ/{key_variable(replica.name)}",
            # The openai client would try again by itself, at the same replica.
            "max_retries": 0,
        },
        "model_info": {"id": replica.name},
    }
