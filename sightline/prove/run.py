"""One run from target to report: host checks, sight check, and one verdict over both."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.deployment import Connection

from .client import Endpoint, read_key
from .diagnosis import Cause
from .errors import CouldNotTell
from .gpu_memory import gpu_memory
from .host import HostCheck, check_host
from .progress import Progress
from .report_json import Report
from .sight import Settings, look, verdict_on
from .tunnel import is_needed, tunnel
from .verdict import Verdict


@dataclass(frozen=True)
class Target:
    """What is examined. `record` is the deployment record, None for an endpoint known by its address only;
    `connection` is the way to a host whose endpoint listens on its own loopback.
    """

    name: str
    base_url: str
    model: str | None
    key_file: Path | None
    record: Path | None = None
    engine: str | None = None
    release: str | None = None
    connection: Connection | None = None
    ca_file: Path | None = None

    @classmethod
    def at(cls, url: str, model: str | None, key_file: Path | None, ca_file: Path | None) -> Target:
        """An endpoint known by its address only, which gives it its name."""
        name = url.split("://")[-1].split("@")[-1].removesuffix("/").removesuffix("/v1")
        return cls(name, url, model, key_file, ca_file=ca_file)

    def described(self, model: str | None) -> dict[str, Any]:
        """The target as the report names it."""
        return {
            "host": self.name if self.record else None,
            "base_url": self.base_url,
            "model": model or self.model,
            "engine": self.engine,
            "release": self.release,
        }


@dataclass(frozen=True)
class Limits:
    """How long to wait for an answer, in seconds, and how long it may be, in tokens."""

    timeout: float
    max_tokens: int


def examine(target: Target, settings: Settings, limits: Limits, progress: Progress) -> Report:
    """Run all checks of a target. Never raises for what the target does: that is what the verdict is for.

    The host is checked while the model is asked: both mostly wait for the other machine.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    if target.record:
        progress.say(f"checking the host {target.name}")
    model, sighting, verdict = target.model, None, None
    with ThreadPoolExecutor(max_workers=1) as beside:
        checking = beside.submit(_host_checks, target)
        try:
            key = read_key(target.key_file) if target.key_file else None
            with _way_to(target) as url:
                endpoint = Endpoint(
                    url, target.model, key, limits.timeout, limits.max_tokens, ca_file=target.ca_file
                )
                with closing(endpoint):
                    model = endpoint.choose_model()
                    sighting = look(endpoint, settings, progress.tick)
            verdict = verdict_on(sighting, settings)
        except CouldNotTell as obstacle:
            verdict = could_not_tell(obstacle)
        progress.clear()
        host_checks, host_trouble = checking.result()
    return Report(
        target=target.described(model),
        started_at=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=time.monotonic() - clock,
        verdict=with_host(verdict, host_checks, host_trouble),
        settings=settings if sighting else None,
        sighting=sighting,
        host_checks=host_checks,
        gpu_memory=gpu_memory(target.record) if sighting else None,
    )


def _way_to(target: Target) -> AbstractContextManager[str]:
    if target.connection and is_needed(target.connection, target.base_url):
        return tunnel(target.connection, target.base_url)
    return nullcontext(target.base_url)


def could_not_tell(obstacle: CouldNotTell) -> Verdict:
    """The verdict when the endpoint could not be examined."""
    return Verdict(
        "could not tell",
        f"Could not tell: {obstacle}.",
        (Cause(obstacle.code, f"{obstacle.what}; {obstacle.remedy}."),),
    )


def with_host(verdict: Verdict, checks: tuple[HostCheck, ...], trouble: CouldNotTell | None) -> Verdict:
    """One verdict over sight and host: what failed outweighs what could not be told, and that what passed."""
    failed = [check for check in checks if check.outcome == "failed"]
    unreachable = [check for check in checks if check.outcome == "unreachable"]
    causes = [Cause("host_check", f"On the host: {check.title}: no. {check.message}") for check in failed]
    if failed:
        all_causes = (*verdict.causes, *causes)
        if verdict.outcome == "not proven":
            return replace(verdict, causes=all_causes)
        seen = "it sees, but " if verdict.outcome == "proven" else ""
        many = f"{len(failed)} of {len(checks)} checks of the host failed ({failed[0].title})"
        return Verdict("not proven", f"Not proven: {seen}{many}.", all_causes)
    if verdict.outcome == "proven" and (trouble or unreachable):
        obstacle = trouble or CouldNotTell(
            "host_unreachable",
            f"the host can't be asked: {unreachable[0].message}",
            "check the connection to it",
        )
        return could_not_tell(obstacle)
    return verdict


def _host_checks(target: Target) -> tuple[tuple[HostCheck, ...], CouldNotTell | None]:
    if target.record is None:
        return (), None
    try:
        return check_host(target.record), None
    except CouldNotTell as trouble:
        return (), trouble
