"""Send the files of a bundle that a host needs: small ones in one tar, large ones by themselves."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_CHECKOUT = str(Path(__file__).resolve().parents[2])
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from sightline.bundle import Bundle, BundleProblem, Note, read_bundle
from sightline.bundle.manifest import PACKAGES, Opened
from sightline.plan.render import human_bytes

display = Display()

MODULE = "bundle_files"
SMALL = 64 << 20
"""Bytes up to which a file goes into a tar with others, and what one such tar holds at most."""


class ActionModule(ActionBase):
    """bundle, wanted, folder, local: see plugins/modules/bundle_files.py."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._host, self._vars = (task_vars or {}).get("inventory_hostname", ""), task_vars
        told = self._task.args
        wanted, folder, sent = dict(told["wanted"]), str(told["folder"]), 0
        try:
            bundle = read_bundle(Path(str(told["bundle"])))
            files = _needed(bundle, wanted)
            with bundle.opened() as opened:
                if told.get("local"):
                    return self._held(bundle, folder, files)
                sent += self._bring(opened, folder, files, "", hashed=True)
                if name := wanted.get("model"):
                    below = f"models/{name}/"
                    # sightline-fetch reads and hashes each before it calls the model whole.
                    place, model = str(wanted["model_folder"]), bundle.below(below)
                    sent += self._bring(opened, place, model, below, hashed=False)
        except (BundleProblem, OSError) as problem:
            raise AnsibleActionFail(f"{self._host}: {problem}") from problem
        return {"changed": sent > 0, "missing": []}

    def _held(self, bundle: Bundle, folder: str, files: Mapping[str, Note]) -> dict[str, Any]:
        wrong = self._ask(folder, files, hashed=True)
        if wrong:
            raise BundleProblem(f"{bundle.place}: {wrong[0]} is not what its bundle.json says: make it anew")
        return {"changed": False, "missing": []}

    def _bring(self, opened: Opened, folder: str, files: Mapping[str, Note], below: str, hashed: bool) -> int:
        """Send what `folder` lacks of `files`, which lie under `below` in the bundle; returns how many."""
        lacking = self._ask(folder, files, hashed) if files else []
        if not lacking or self._task.check_mode:
            return len(lacking)
        total, done = sum(files[path].size for path in lacking), 0
        self._say(f"{len(lacking)} files of the bundle to send, {human_bytes(total)}")
        batches: list[list[str]] = [[]]
        for path in sorted(lacking, key=lambda path: files[path].size):
            size = sum(files[one].size for one in batches[-1])
            if batches[-1] and size + files[path].size > SMALL:
                batches.append([])
            batches[-1].append(path)
        try:
            self._make_tmp_path()
            for batch in batches:
                self._send(opened, folder, {path: files[path] for path in batch}, below, hashed)
                done += sum(files[path].size for path in batch)
                self._say(f"{human_bytes(done)} of {human_bytes(total)} sent")
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return len(lacking)

    def _send(self, opened: Opened, folder: str, files: Mapping[str, Note], below: str, hashed: bool) -> None:
        there = self._connection._shell.join_path(self._connection._shell.tmpdir, "sent")
        if len(files) == 1:
            (path,) = files
            with opened.on_disk(below + path) as file:
                self._transfer_file(str(file), there)
            more = {"path": path, "sent": there}
        else:
            with tempfile.NamedTemporaryFile(prefix="sightline-") as local:
                with tarfile.open(fileobj=local, mode="w") as archive:
                    for path, note in files.items():
                        member = tarfile.TarInfo(path)
                        member.size = note.size
                        with opened.file(below + path) as content:
                            archive.addfile(member, content)
                local.flush()
                self._transfer_file(local.name, there)
            more = {"archive": there}
        self._fixup_perms2((there,))
        self._module(folder, files, hashed, more)

    def _ask(self, folder: str, files: Mapping[str, Note], hashed: bool) -> list[str]:
        return list(self._module(folder, files, hashed, {})["missing"])

    def _module(
        self, folder: str, files: Mapping[str, Note], hashed: bool, more: Mapping[str, str]
    ) -> dict[str, Any]:
        notes = {path: [note.sha256, note.size] for path, note in files.items()}
        arguments = {"folder": folder, "files": notes, "hashed": hashed, **more}
        ended = dict(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=self._vars))
        if ended.get("failed"):
            raise BundleProblem(str(ended.get("msg")))
        return ended

    def _say(self, line: str) -> None:
        display.display(f"  {self._host} | {line}")


def _needed(bundle: Bundle, wanted: Mapping[str, Any]) -> dict[str, Note]:
    """What goes to the host's copy of the bundle. The plan has seen that the bundle has it."""
    files = bundle.of_locks(list(wanted.get("locks") or ()), str(wanted.get("python") or ""))
    if wanted.get("packages"):
        files |= {PACKAGES + path: note for path, note in bundle.below(PACKAGES).items()}
    return files
