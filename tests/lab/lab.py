"""Starts and stops hosts. All it makes is written down or carries the lab's tag, so that it can be swept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.lab import addresses, base, cgroups, furnish, links, network, pip_settings, requirements
from tests.lab.base import Base
from tests.lab.furnish import Furniture
from tests.lab.kinds import KINDS
from tests.lab.network import Network
from tests.lab.place import CHECKOUT, Place, Record
from tests.lab.plan import KeeperPlan, mounts_of
from tests.lab.problems import LabError
from tests.lab.processes import Process, children
from tests.lab.readiness import wait_until_ready


@dataclass(frozen=True)
class Wish:
    """A host that is wanted. `on_disk`: its changes lie on this machine's disk instead of in memory."""

    name: str
    kind: str
    on_disk: bool = False
    size: int = 8 * 2**30

    @classmethod
    def read(cls, word: str, on_disk: bool = False, size: int = 8 * 2**30) -> Wish:
        """`debian12` is a host of that kind and name, `web=debian12` has another name. Raises LabError."""
        name, _, kind = word.partition("=")
        kind = kind or name
        if kind not in KINDS:
            raise LabError(f"no kind of host is called '{kind}'; there are: {', '.join(KINDS)}")
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise LabError(
                f"a host's name has small letters, digits and dashes, 31 at most; '{name}' does not fit"
            )
        return cls(name, kind, on_disk, size)


def up(place: Place, wishes: Sequence[Wish]) -> list[Record]:
    """Start what does not run yet, and wait until all of it answers. Raises NotHere, LabError."""
    requirements.check()
    requirements.install_programs()
    with place.locked():
        sweep(place)
        running = place.records()
        for wish in wishes:
            if wish.name in running and running[wish.name].kind != wish.kind:
                raise LabError(f"{wish.name} runs already, as {running[wish.name].kind}; take it down first")
        missing = [wish for wish in wishes if wish.name not in running]
        bases = {wish.name: base.ensure(KINDS[wish.kind].recipe, place.cache) for wish in missing}
        net = network.ensure(place)
        addresses.make_key(place.key, "sightline-lab")
        try:
            started = [_start(net, wish, bases[wish.name]) for wish in missing]
            network.map_ports(net, place.records().values())
            addresses.write(net)
            for record in started:
                _prove(place, record, bases[record.name])
        except BaseException:
            # Also on Ctrl-C: what did not come up is not left half-standing.
            _take_down(place, [wish.name for wish in missing])
            raise
    return [place.records()[wish.name] for wish in wishes]


def down(place: Place, names: Sequence[str] = ()) -> list[str]:
    """Stop these hosts (all, without names) and sweep; the names of those stopped. Raises LabError."""
    if not place.folder.exists() and not cgroups.names_below(place.group):
        return []
    with place.locked():
        running = place.records()
        for name in names:
            if name not in running:
                raise LabError(f"no host is called '{name}'; there are: {', '.join(running) or 'none'}")
        chosen = list(names or running)
        _take_down(place, chosen)
        sweep(place)
    return chosen


def restart(place: Place, record: Record) -> None:
    """Shut the host down and start it again on the same disks, as a provider's stop and start does."""
    before = container(record)
    record.keeper.send(signal.SIGHUP)
    if before is None or not before.gone_within(30):
        raise LabError(
            f"{record.name} did not shut down within 30 s; see {place.host(record.name)}/console.log"
        )
    wait_until_ready(place, record)


def container(record: Record) -> Process | None:
    """The host's PID 1 as this machine sees it; None while there is none (it just restarts)."""
    for nspawn in children(record.keeper.pid):
        for inner in children(nspawn):
            return Process.of(inner)
    return None


def sweep(place: Place) -> None:
    """Remove what is left of hosts whose keeper is gone; hosts that run stay."""
    records = place.records()
    dead = [name for name, record in records.items() if not record.keeper.alive()]
    known = {entry.name for entry in place.folder.glob("hosts/*")} | cgroups.names_below(place.group)
    dead += sorted(known - set(records))
    alive = [record for name, record in records.items() if name not in dead]
    if dead or not alive:
        _take_down(place, dead)
    cables = {place.link(letter, record.index) for record in alive for letter in "hnfb"}
    for name in links.names():
        if name.startswith(f"sl{place.tag}") and name not in cables:
            links.remove(name)


def _start(net: Network, wish: Wish, tree: Base) -> Record:
    place, kind = net.place, KINDS[wish.kind]
    folder = place.host(wish.name)
    addresses.make_key(folder / "host_key", wish.name)
    disks = {} if wish.on_disk else {"/": wish.size}
    if kind.data_disk:
        disks[kind.data_disk] = wish.size
    pip = pip_settings.here()
    plan = KeeperPlan(
        tree=str(tree.tree),
        folder=str(folder),
        boot=kind.boot,
        groups=tuple(str(group) for group in cgroups.make(f"{place.group}/{wish.name}")),
        disks=disks,
        mounts=mounts_of(kind, folder, pip.folders),
        furniture=Furniture(
            name=wish.name,
            user=kind.user,
            sudo=kind.sudo,
            public_key=place.key.with_suffix(".pub").read_text(),
            host_key=(folder / "host_key").read_text(),
            nameservers=furnish.nameservers(),
            pip_conf=pip.text,
            bundle=bool(base.certificates()),
        ),
    )
    (folder / "plan.json").touch(mode=0o600)  # the host's private key is in it
    (folder / "plan.json").write_text(plan.to_json())
    index = min(set(range(11, 250)) - {record.index for record in place.records().values()})
    command = [
        "unshare",
        "--mount",
        "--net",
        "--propagation",
        "slave",
        sys.executable,
        "-m",
        "tests.lab.keeper",
    ]
    with (folder / "console.log").open("wb") as log:
        keeper = subprocess.Popen(
            [*command, str(folder / "plan.json")],
            cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )  # fmt: skip
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    record = Record(wish.name, wish.kind, index, Process.of(keeper.pid), disks)
    place.write(record)
    said = keeper.stdout.readline().decode().strip()
    if said != "prepared":
        raise LabError(f"{wish.name}: {said or f'its keeper ended; see {folder}/console.log'}")
    network.connect(net, index, keeper.pid)
    keeper.stdin.write(b"go\n")
    keeper.stdin.close()
    keeper.stdout.close()
    keeper.returncode = 0  # it goes on without us
    return record


def _prove(place: Place, record: Record, tree: Base) -> None:
    """Wait for the host; the first to come up on a fresh base tree vouches for it."""
    try:
        wait_until_ready(place, record, thorough=not tree.trusted)
    except LabError as problem:
        if tree.trusted:
            raise
        tail = (place.host(record.name) / "console.log").read_text(errors="replace").splitlines()[-5:]
        _take_down(place, [record.name])
        tree.distrust()
        raise LabError(f"{problem}; its base tree is thrown away. It said: {' / '.join(tail)}") from None
    if not tree.trusted:
        tree.trust()


def _take_down(place: Place, names: Iterable[str]) -> None:
    """Stop these hosts and take away all they had; with the last one the network goes too."""
    records = place.records()
    for name in names:
        if name in records:
            records[name].keeper.send(signal.SIGTERM)
    for name in names:
        record = records.get(name)
        if record is not None:
            record.keeper.gone_within(10)
            for letter in "hnfb":
                links.remove(place.link(letter, record.index))
        cgroups.remove(f"{place.group}/{name}")
        place.forget(name)
    net = network.existing(place)
    left = place.records()
    if left and net is not None:
        network.map_ports(net, left.values())
        addresses.write(net)
    if not left:
        network.remove(place)
        cgroups.remove(place.group)
        addresses.remove(place)
