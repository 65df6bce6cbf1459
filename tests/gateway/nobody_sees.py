"""Run by the gateway's Python: LiteLLM's router before one replica that does not see. Prints how often the
replicas were looked through for one request.
"""

import asyncio
from typing import Any

import litellm
from sightline_gateway import running
from sightline_gateway.config import litellm_config
from sightline_gateway.hooks import RotationHook
from sightline_gateway.keys import KeyRing
from sightline_gateway.settings import Replica, Settings
from sightline_gateway.watch import Watch


class Counting(RotationHook):
    looked = 0

    async def async_filter_deployments(self, *words: Any, **named: Any) -> list[Any]:
        Counting.looked += 1
        return await super().async_filter_deployments(*words, **named)


async def main() -> None:
    settings = Settings("m", (Replica("one", "http://127.0.0.1:9/v1", "m"),), retries=2)
    running.run_with(running.Running(settings, KeyRing.__new__(KeyRing), Watch(settings, {})))
    litellm.callbacks = [Counting()]
    told = litellm_config(settings)
    router = litellm.Router(model_list=told["model_list"], **told["router_settings"])
    try:
        await router.acompletion(model="m", messages=[{"role": "user", "content": "?"}])
    except litellm.ServiceUnavailableError:
        print(Counting.looked)


asyncio.run(main())
