"""The machine's ip_forward: on while any lab needs it, afterwards as it was.

Several labs may run beside each other (the tests' own beside a person's); the last to leave restores it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Forwarding:
    """`book` is the folder in which labs write down that they need it."""

    setting: Path = Path("/proc/sys/net/ipv4/ip_forward")
    book: Path = Path("/run/sightline-lab")

    def need(self, tag: str) -> None:
        with self._book() as told:
            told.setdefault("was", self.setting.read_text().strip())
            told["labs"] = sorted({*told.get("labs", []), tag})
            self._write(told)
            self.setting.write_text("1")

    def release(self, tag: str) -> None:
        if not self.book.exists():
            return
        with self._book() as told:
            labs = [lab for lab in told.get("labs", []) if lab != tag]
            if labs:
                self._write(told | {"labs": labs})
                return
            if "was" in told:
                self.setting.write_text(told["was"])
            for file in self.book.iterdir():
                file.unlink()
            self.book.rmdir()

    def _write(self, told: dict[str, Any]) -> None:
        draft = self.book / "forwarding.new"
        draft.write_text(json.dumps(told))
        draft.replace(self.book / "forwarding.json")

    @contextmanager
    def _book(self) -> Iterator[dict[str, Any]]:
        while True:
            self.book.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError), (self.book / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # The last lab to leave removes the book; whoever waited for it meanwhile begins a new one.
                if not (self.book / "lock").exists():
                    continue
                file = self.book / "forwarding.json"
                yield json.loads(file.read_text()) if file.exists() else {}
                return
