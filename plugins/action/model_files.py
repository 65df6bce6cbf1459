"""Start a fetch on a host, and show how far it has come until the model is whole."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.catalogue import CatalogueError
from sightline.fetching import Told, kit, share_words, words
from sightline.hostside import FolderProblem, describe, pack

display = Display()

MODULE = "model_files"
SHORT_WAIT = 3.0
"""Seconds that starting it waits: what comes in less needs no further look at the host."""
POLL_SECONDS = 1.0
QUIET_SECONDS = 30.0
LOST_SECONDS = 600.0
"""How long a host is called again whose connection broke: the fetch goes on there meanwhile."""
MOST_READ = 64 << 10
MOST_STARTS = 3
NO_PYTHON = "{}: no Python from 3.10 on is there to fetch with; install one, or name one (sightline_pythons)"


class ActionModule(ActionBase):
    """state, fetch (entry, files, local, path, job, sources, options, token, interpreters, share, timeout):
    see plugins/modules/model_files.py.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._host = (task_vars or {}).get("inventory_hostname", "")
        self._fetch = dict(self._task.args["fetch"])
        if self._task.check_mode:
            return {"changed": True, "state": "working"}
        if self._task.args.get("state") == "unshared":
            arguments = {"job": str(self._fetch["job"]), "unshare": True}
            ended = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            return dict(ended) | {"changed": False}
        if self._task.args.get("state") == "started":
            started = self._start(task_vars)
            told = Told()
            for line in told.feed(str(started.get("log") or ""), time.monotonic()):
                self._say(line)
            state = str(started["state"])
            return (
                _failed(f"{self._host}: {told.problem}")
                if state == "failed"
                else {"changed": True, "state": state}
            )
        return self._follow(time.monotonic() + float(self._fetch.get("timeout", 86400)), task_vars)

    def _start(self, task_vars: Any) -> dict[str, Any]:
        """Start the fetch, or join the one at work; what the module returned. Raises AnsibleActionFail."""
        wanted = self._fetch
        files = Path(wanted["files"]) if wanted.get("files") else None
        sources = list(map(str, wanted.get("sources") or ()))
        if files:
            sources = [f"dir={files}" if wanted.get("local") else "dir=kit/files"]
        path = str(wanted["path"])
        arguments = {
            "job": str(wanted["job"]),
            "token": str(wanted.get("token") or ""),
            "interpreters": [str(name) for name in wanted.get("interpreters") or () if name],
            "words": words(path, os.path.dirname(path), sources, list(map(str, wanted.get("options") or ()))),
            "share": share_words(path, str(wanted["share"])) if wanted.get("share") else [],
            "wait": SHORT_WAIT,
        }
        handle, local = tempfile.mkstemp(prefix="sightline-", suffix=".tgz")
        try:
            contents = kit(Path(wanted["entry"]), None if wanted.get("local") else files)
            manifest = describe(contents)
            with os.fdopen(handle, "wb") as file:
                file.write(pack(contents, manifest))
            remote = self._connection._shell.join_path(self._make_tmp_path(), "kit.tgz")
            self._transfer_file(local, remote)
            self._fixup_perms2((remote,))
            arguments |= {"manifest": manifest, "archive": remote}
            started = dict(
                self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            )
        except (CatalogueError, FolderProblem, OSError) as problem:
            raise AnsibleActionFail(str(problem)) from problem
        finally:
            os.unlink(local)
            self._remove_tmp_path(self._connection._shell.tmpdir)
        if started.get("failed"):
            raise AnsibleActionFail(str(started.get("msg")))
        return started

    def _follow(self, deadline: float, task_vars: Any) -> dict[str, Any]:
        told, offset, starts = Told(), 0, 0
        said, parent = time.monotonic(), os.getppid()
        while True:
            if os.getppid() != parent:
                # A killed ansible-playbook leaves its workers: this one must not begin anything again.
                return _failed(f"{self._host}: the run was ended; the fetch goes on there")
            added, state = self._read(offset, deadline)
            offset += len(added)
            now = time.monotonic()
            for line in told.feed(added.decode(errors="replace"), now):
                said = now
                self._say(line)
            if len(added) == MOST_READ:
                continue
            if state == "0":
                return {"changed": True, "state": "whole"}
            if state.isdigit():
                return _failed(f"{self._host}: {told.problem}")
            if state == "gone":
                # It did not end by itself: the host was started anew, or somebody ended it.
                if starts == MOST_STARTS:
                    return _failed(f"{self._host}: the fetch is ended from outside each time; run this again")
                starts += 1
                told, offset = Told(), 0
                if self._start(task_vars)["state"] == "waiting":
                    return _failed(NO_PYTHON.format(self._host))
            if now > deadline:
                return _failed(f"{self._host}: not whole yet; the fetch goes on there, this run gives it up")
            if now - said > QUIET_SECONDS:
                said = now
                self._say("still at it")
            time.sleep(POLL_SECONDS)

    def _read(self, offset: int, deadline: float) -> tuple[bytes, str]:
        """What the log has gained, MOST_READ bytes at most, and how the job is: an exit code, or a word.

        A connection that breaks is made anew: nothing is lost by that.
        """
        job = shlex.quote(str(self._fetch["job"]))
        ask = (
            f"cd {job} 2>/dev/null && {{ if [ -e ended ]; then cat ended; "
            'elif kill -0 "$(cat pid)" 2>/dev/null; then echo working; else echo gone; fi; '
            f"tail -c +{offset + 1} log | head -c {MOST_READ}; }} || echo gone"
        )
        lost = 0.0
        while True:
            try:
                answer = self._low_level_execute_command(ask)
                break
            except AnsibleConnectionFailure as problem:
                now = time.monotonic()
                lost = lost or now
                if now - lost > LOST_SECONDS or now > deadline:
                    raise
                self._say(f"the connection broke; the fetch goes on there ({str(problem).strip()[:120]})")
                time.sleep(5)
                self._connection.reset()
        state, _, text = str(answer.get("stdout", "")).partition("\n")
        return text.encode(errors="surrogateescape"), state.strip()

    def _say(self, line: str) -> None:
        display.display(f"  {self._host} | {line}")


def _failed(why: str) -> dict[str, Any]:
    return {"failed": True, "state": "failed", "msg": why}
