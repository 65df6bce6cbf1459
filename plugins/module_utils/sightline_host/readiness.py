"""Waiting for an endpoint to say that it is ready, with what it says meanwhile."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException


class NotReady(Exception):
    """The endpoint did not become ready in time; the message is the last thing it said."""


def wait_ready(url: str, seconds: float, say: Callable[[str], None], alive: Callable[[], bool]) -> float:
    """Ask `url` until it answers 200; returns the seconds that took.

    Raises NotReady after `seconds`, or at once when not `alive()`.
    """
    start = time.monotonic()
    last = ""
    # A proxy from the environment must not be asked about loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        said = _ask(opener, url)
        waited = time.monotonic() - start
        if said is None:
            return waited
        if said != last:
            say(f"{url}: {said}")
            last = said
        if waited > seconds or not alive():
            raise NotReady(f"{url} is not ready after {waited:.0f} s: {said}")
        time.sleep(min(2.0, 0.2 + waited / 20))


def _ask(opener: urllib.request.OpenerDirector, url: str) -> str | None:
    try:
        with opener.open(url, timeout=10) as answer:
            return None if answer.status == 200 else f"answered {answer.status}"
    except urllib.error.HTTPError as error:
        return _reason(error.read(4096)) or f"answered {error.code}"
    except HTTPException as problem:
        return f"does not speak HTTP ({problem!r})"
    except OSError as problem:
        return f"does not answer yet ({getattr(problem, 'reason', problem)})"


def _reason(body: bytes) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    error = said.get("error")
    found = (
        said.get("reason")
        or said.get("detail")
        or (error.get("message") if isinstance(error, dict) else None)
    )
    return str(found)[:200] if found else ""
