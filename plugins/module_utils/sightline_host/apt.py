"""apt-get on a host: its lock is waited for, its progress told in short lines, its failures in words."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .apt_words import (
    Changes,
    explained,
    failed_sources,
    is_locked,
    simulated,
    sizes,
    stanzas,
    told_lock,
    told_source,
)
from .packages import read_lock

Say = Callable[[str], None]

LOCK_SECONDS = 900
"""How long another program may install packages before it is given up: unattended-upgrades takes minutes."""

_POLL_SECONDS = 2.0
_SAY_SECONDS = 20.0
_UNATTENDED = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    # Ubuntu's needrestart would ask which services to restart, and restart some of them.
    "NEEDRESTART_SUSPEND": "1",
    "LC_ALL": "C.UTF-8",
}
# A power cut can leave a package that dpkg would only remove once it is installed again.
_ALSO_BROKEN = ("-o", "Dpkg::Options::=--force-remove-reinstreq")
_KEEP_SETTINGS = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")


class AptProblem(Exception):
    """Packages could not be installed or removed; the message says what, why and what to do."""


@dataclass(frozen=True)
class Apt:
    """apt-get of the system whose files lie under `root` (another one than "/" only in tests).

    `settings` are apt's own, for this object alone (apt.conf(5)).
    """

    say: Say
    root: Path = Path("/")
    lock_seconds: float = LOCK_SECONDS
    settings: Mapping[str, str] = field(default_factory=dict)

    def update(self, needed: Sequence[str]) -> None:
        """Fetch the lists of packages.

        A source that fails is only told of, unless its address begins with one of `needed`.
        Raises AptProblem.
        """
        self.say("fetching the lists of packages")
        code, output = self._run("apt-get", "update", "-q", "-o", "Acquire::Retries=3")
        failed = failed_sources(output)
        mattering = {uri: why for uri, why in failed.items() if uri.startswith(tuple(needed))}
        if mattering:
            uri, why = next(iter(mattering.items()))
            raise AptProblem(told_source(uri, why))
        if code != 0 and not failed:
            raise AptProblem(explained("fetching the lists of packages", output))
        for uri in failed:
            self.say(f"{uri} does not answer; going on without it")

    def candidate(self, package: str) -> str | None:
        """The version that apt would install of `package`; None where no source has it."""
        _, output = self._run("apt-cache", "policy", package)
        found = re.search(r"^  Candidate: (\S+)", output, re.MULTILINE)
        return found[1] if found and found[1] != "(none)" else None

    def would_install(self, packages: Sequence[str]) -> Changes:
        """What installing `packages` would do. Raises AptProblem when it cannot be done."""
        return self._simulate("install", "--no-install-recommends", *packages)

    def would_purge(self, packages: Sequence[str]) -> Changes:
        """What removing `packages` with their settings would do. Raises AptProblem."""
        return self._simulate("purge", "--allow-change-held-packages", *packages)

    def sizes(self, packages: Sequence[str]) -> tuple[int, int]:
        """Bytes to fetch for `packages`, and bytes that they take on the disk in the end."""
        _, output = self._run(
            "apt-get", "install", "--print-uris", "-y", "--no-install-recommends", *packages
        )
        return sizes(output)

    def install(self, packages: Sequence[str], archives: Path) -> None:
        """Install `packages` without what they merely recommend; nothing is ever removed for them.

        What is fetched lies in `archives` meanwhile, so that an interrupted download goes on.
        Raises AptProblem.
        """
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        words = ("install", "-y", "--no-install-recommends", "--no-remove", *_KEEP_SETTINGS)
        options = ("-o", f"Dir::Cache::archives={archives}", "-o", "Acquire::Retries=3")
        self._change("installing packages", *words, *options, *packages)

    def purge(self, packages: Sequence[str]) -> None:
        """Remove `packages` with their settings, even those that are held. Raises AptProblem."""
        words = ("purge", "-y", "--allow-change-held-packages", *_KEEP_SETTINGS, *_ALSO_BROKEN)
        self._change("removing packages", *words, *packages)

    def configure(self) -> None:
        """Finish what an interrupted dpkg left half-done, as far as it can be finished."""
        self.say("finishing an installation that was interrupted")
        self._run("dpkg", *self._dpkg_options(), "--configure", "-a")

    def lists(self) -> list[dict[str, str]]:
        """The lists of packages that apt's sources stand for, as apt itself describes them."""
        _, output = self._run("apt-get", "indextargets", "Created-By: Packages")
        return stanzas(output)

    def asked(self) -> list[dict[str, str]]:
        """The same of all that the sources ask for, also what a source does not have; without its origin."""
        _, output = self._run("apt-get", "indextargets", "--no-release-info", "Created-By: Packages")
        return stanzas(output)

    def mark(self, how: str, packages: Sequence[str]) -> None:
        """apt-mark `how` (hold, unhold, auto, manual). Raises AptProblem."""
        if packages:
            code, output = self._run("apt-mark", how, *packages)
            if code != 0:
                raise AptProblem(explained(f"apt-mark {how}", output))

    def marked(self, how: str) -> set[str]:
        """Packages that apt-mark shows as `how` (hold, auto, manual)."""
        _, output = self._run("apt-mark", f"show{how}")
        return {line.partition(":")[0] for line in output.split() if line}

    def wait_until_free(self) -> None:
        """Return when nobody installs packages; raises AptProblem after `lock_seconds`."""
        start = said = time.monotonic()
        told = False
        while (lock := read_lock(self.root))["held"]:
            now = time.monotonic()
            if now - start >= self.lock_seconds:
                raise AptProblem(told_lock(lock["holder"], self.lock_seconds))
            if not told or now - said > _SAY_SECONDS:
                told, said = True, now
                self.say(f"waiting for {lock['holder']}, which installs packages just now")
            time.sleep(min(_POLL_SECONDS, self.lock_seconds))

    def _dpkg_options(self) -> list[str]:
        """dpkg's options in apt's settings, for the calls that go to it directly."""
        ended = subprocess.run(
            ["apt-config", "dump", "--format", "%v%n", "Dpkg::Options"], capture_output=True, text=True
        )
        return [line for line in ended.stdout.splitlines() if line]

    def _simulate(self, *words: str) -> Changes:
        code, output = self._run("apt-get", "-s", "-q", *words)
        if code != 0:
            raise AptProblem(explained("working out what to install", output))
        return simulated(output)

    def _change(self, what: str, *words: str) -> None:
        code, output = self._run("apt-get", "-q", "-o", "Dpkg::Use-Pty=0", *words, progress=True)
        if code != 0:
            raise AptProblem(explained(what, output))

    def _run(self, *command: str, progress: bool = False) -> tuple[int, str]:
        """Exit code and output. Waits for apt's lock, again when somebody was quicker."""
        deadline = time.monotonic() + self.lock_seconds
        while True:
            if command[0] in ("apt-get", "dpkg"):
                self.wait_until_free()
            code, output = self._once(command, progress)
            if code == 0 or not is_locked(output) or time.monotonic() >= deadline:
                return code, output
            time.sleep(_POLL_SECONDS)

    def _once(self, command: Sequence[str], progress: bool) -> tuple[int, str]:
        words, reading, writing = list(command), -1, -1
        if words[0] in ("apt-get", "apt-cache"):
            words[1:1] = [word for name, value in self.settings.items() for word in ("-o", f"{name}={value}")]
        if progress:
            reading, writing = os.pipe()
            words[1:1] = ["-o", f"APT::Status-Fd={writing}"]
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            running = subprocess.Popen(
                words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**os.environ, **_UNATTENDED}, pass_fds=[writing] if progress else [],
            )  # fmt: skip
            if progress:
                os.close(writing)
                with os.fdopen(reading, errors="replace") as lines:
                    _tell(lines, self.say)
            code = running.wait()
            output.seek(0)
            return code, output.read()


def _tell(lines: IO[str], say: Say) -> None:
    """Turn apt's status lines ("dlstatus:4:37.1:text", "pmstatus:name:37.1:text") into a line each tenth."""
    last = ("", 0)
    for line in lines:
        kind, name, percent, *text = [*line.rstrip("\n").split(":", 3), "", "", ""]
        done = int(float(percent) // 10) if re.fullmatch(r"[\d.]+", percent) else 0
        if kind == "pmstatus" and "onfigur" in text[0] and name.startswith(("nvidia", "linux-headers")):
            say(f"{text[0].strip()}")
        if kind in ("dlstatus", "pmstatus") and (kind, done) > last and done:
            last = (kind, done)
            say(f"{'fetching' if kind == 'dlstatus' else 'installing'}: {done * 10} %")
