"""Waiting for an endpoint to say that it is ready, with what it says meanwhile."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path


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


def is_ready(url: str, seconds: float = 2.0) -> bool:
    """Whether `url` answers 200 now, within `seconds`."""
    return _ask(urllib.request.build_opener(urllib.request.ProxyHandler({})), url, seconds) is None


def wait_listed(url: str, model: str, key_file: Path | None) -> None:
    """Ask the /v1/models of the server at `url` once; raises NotReady unless it lists `model`."""
    address = urllib.parse.urljoin(url, "/v1/models")
    request = urllib.request.Request(address)
    try:
        if key_file:
            # The last word of the first line: a key, or a name and its key.
            request.add_header(
                "Authorization", f"Bearer {key_file.read_text().split(chr(10))[0].split()[-1]}"
            )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            listed = [str(told["id"]) for told in json.load(answer)["data"]]
    except (OSError, HTTPException, ValueError, KeyError, TypeError, IndexError) as problem:
        raise NotReady(f"{url} says that it is ready, but {address} cannot be read ({problem})") from None
    if model not in listed:
        names = ", ".join(listed) or "no model"
        raise NotReady(f"{url} says that it is ready, but {address} lists {names} and not {model}")


def _ask(opener: urllib.request.OpenerDirector, url: str, seconds: float = 10.0) -> str | None:
    try:
        with opener.open(url, timeout=seconds) as answer:
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
