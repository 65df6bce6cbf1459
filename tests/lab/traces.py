"""Everything on a machine that a lab could leave behind, to compare before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from tests.lab import cgroups, links
from tests.lab.commands import run
from tests.lab.place import Place
from tests.lab.processes import Process


@dataclass(frozen=True)
class Traces:
    """What is there now; processes are those that carry the lab's folder, tag or control group."""

    links: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    groups: frozenset[str]
    tables: frozenset[str]
    processes: frozenset[str]
    forwarding: frozenset[str]

    @classmethod
    def read(cls, place: Place) -> Traces:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        groups = (folder for hierarchy in cgroups.hierarchies() for folder, _, _ in os.walk(hierarchy))
        named = Path("/run/netns")
        book = Path("/run/sightline-lab")
        return cls(
            links=frozenset(links.names()),
            namespaces=frozenset(entry.name for entry in named.iterdir()) if named.is_dir() else frozenset(),
            mounts=frozenset(" ".join(line.split()[3:]) for line in mounts),
            groups=frozenset(groups),
            tables=frozenset(run("nft", "list", "tables").splitlines()),
            processes=frozenset(_processes(place)),
            forwarding=frozenset(
                {Path("/proc/sys/net/ipv4/ip_forward").read_text().strip(), f"book: {book.exists()}"}
            ),
        )

    def more_than(self, before: Traces) -> list[str]:
        """What was not there before, one line each; empty when nothing is left."""
        found = []
        for field in fields(self):
            found += [
                f"{field.name}: {one}" for one in getattr(self, field.name) - getattr(before, field.name)
            ]
        return sorted(found)


def _processes(place: Place) -> list[str]:
    found = []
    marks = (str(place.folder), place.group, place.bridge, f"sl{place.tag}")
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            told = command + (entry / "cgroup").read_text()
            Process.of(int(entry.name))  # one that has ended, and whose parent is slow to notice, is no trace
        except OSError:
            continue
        if any(mark in told for mark in marks):
            found.append(f"{entry.name} {command}")
    return found
