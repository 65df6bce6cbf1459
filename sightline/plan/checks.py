"""The checks of a plan: each looks at one thing and says why not to begin, or nothing.

A check takes the situation and the names of the steps that will change something; it yields objections. It
may raise `Unreadable` for a fact that it cannot do without: that becomes a refusal too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sightline.catalogue import missing_facts
from sightline.plan.adopt import decide_adoption
from sightline.plan.outcome import Objection
from sightline.plan.places import larger_disk
from sightline.plan.reading import Unreadable, read, read_or_none
from sightline.plan.render import human_bytes
from sightline.plan.server_words import engine_memory
from sightline.plan.situation import Situation, asks_index, disk_shares, memory_shares

Check = Callable[[Situation, set[str]], Iterator[Objection]]


def engine_serves_model(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The release carries the engine, and the engine is known to serve the model in it."""
    engine = read(there.settings, "engine", str)
    model, release = there.model["name"], there.release["name"]
    carried = [item["engine"] for item in there.release["engines"]]
    if engine == "oci":
        yield Objection(
            "oci is no engine of a host",
            "Oracle's service answers elsewhere, through a gateway",
            "make the host a gateway and set gateway_oci (inventory/examples/oci, docs/oci.md)",
        )
    elif engine not in carried:
        yield Objection(
            f"release {release} carries no engine {engine}",
            f"it carries {', '.join(carried)}",
            "choose one of these engines, or another release",
        )
    elif there.serving is None:
        refused = [item for item in there.model["engines"]["cannot_serve"] if item["engine"] == engine]
        instead = [item["instead"] for item in refused if "instead" in item]
        ways = [
            f"{item['engine']} in release {name}"
            for item in there.model["engines"]["can_serve"]
            for name in item["releases"]
        ]
        yield Objection(
            f"{engine} in release {release} does not serve {model}",
            refused[0]["why"] if refused else "the catalogue does not list them together",
            f"take the model {instead[0]} (scripts/catalogue show {instead[0]})"
            if instead
            else f"use {' or '.join(ways)}"
            if ways
            else "no release of this kit serves it yet; take another model",
        )


def model_is_pinned(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Commit, file list, sizes and hashes are known, so that what arrives can be verified."""
    missing = missing_facts(there.model)
    if missing:
        name = there.model["name"]
        yield Objection(
            f"the catalogue does not know {', '.join(missing)} of {name}",
            "without them nobody can tell whether the right files arrived whole",
            f"fill them in in catalogue/models/{name}.yml (docs/catalogue.md), or deploy another model",
        )


def model_can_be_brought(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """There is a place to fetch it from; whether it answers is seen when the fetch begins."""
    sources = read_or_none(there.settings, "model_sources", list)
    if "model" in changing and there.model["source"]["kind"] != "repository" and sources == []:
        yield Objection(
            f"{there.model['name']} lies on a hub, and sightline_model_sources names no place",
            "its files have to come from somewhere",
            "name one or more, such as https://huggingface.co",
        )


def release_is_locked(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The release has lock files to build an environment from."""
    if not there.release["lock_files"]:
        name = there.release["name"]
        yield Objection(
            f"release {name} has no lock file",
            "an environment is only ever built from a hash-locked list",
            "choose another release, such as cpu",
        )


def architecture_fits(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The lock files hold wheels for this machine."""
    found, wanted = read(there.facts, "arch", str), there.release["architectures"]
    if found not in wanted:
        yield Objection(
            f"the host is {found}",
            f"release {there.release['name']} is made for {' and '.join(wanted)}",
            "use a host of that architecture",
        )


def init_is_known(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The host has an init that the service can be handed to."""
    init = read(there.facts, "init", str)
    if init not in ("systemd", "supervised"):
        raise Unreadable("init", init)
    yield from ()


def index_is_reachable(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Wheels can be fetched, where an environment must be built.

    Null stands for "not asked" (a host whose Python has no pip yet cannot be asked) and is let pass, and so
    is a host that is to fetch them elsewhere.
    """
    if not asks_index(there):
        return
    if "environment" not in changing or read(there.facts, "index", dict).get("reachable", "") is None:
        return
    if not read(there.facts, "index.reachable", bool):
        detail = read_or_none(there.facts, "index.detail", str)
        yield Objection(
            "the host does not reach the package index",
            detail or "the environment's packages come from there",
            "check the host's network, proxy variables and index settings (PIP_INDEX_URL, pip.conf)",
        )


def root_is_writable(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The root can be made or written to, where anything must be."""
    if changing & {"root", "environment", "model"} and not read(there.facts, "root.writable", bool):
        user = read_or_none(there.facts, "user", str) or "the connecting user"
        yield Objection(
            f"{user} cannot write to {read(there.settings, 'root', str)}",
            "environment, model and logs go there",
            "set sightline_root to a folder that this user can write, or connect as another user",
        )


def disk_is_free(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """What will be written fits on the filesystem of the root, with a margin."""
    shares = disk_shares(there, changing, decide_adoption(there)[0] is not None)
    if not shares:
        return
    free, needed = read(there.facts, "root.free_bytes", int), sum(share.bytes for share in shares)
    free += read_or_none(there.facts, "installed.freed_bytes", int) or 0
    if free < needed:
        where = read_or_none(there.facts, "root.filesystem", str) or "the filesystem of the root"
        parts = " + ".join(f"{share.what} {human_bytes(share.bytes)}" for share in shares)
        yield Objection(
            f"{human_bytes(free)} free on {where}, {human_bytes(needed)} needed",
            f"{parts} will not fit",
            f"free {human_bytes(needed - free)} there (sightline_models_absent takes models away), or set "
            "sightline_root to a folder on a larger disk" + larger_disk(there, needed),
        )


def memory_is_there(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The server and its weights fit into main memory.

    A service of ours that runs holds memory that its successor will have: then the whole memory counts.
    """
    if "service" not in changing:
        return
    running = read(there.facts, "installed.service.state", str) in ("running", "outdated")
    room = read(there.facts, "memory.total_bytes" if running else "memory.available_bytes", int)
    needed = sum(share.bytes for share in (*memory_shares(there), *engine_memory(there)))
    if room < needed:
        yield Objection(
            f"{human_bytes(room)} of memory {'in all' if running else 'free'}, {human_bytes(needed)} needed",
            "the server would be killed or swap until it is useless",
            "end other programs, or use a host with more memory or a smaller model",
        )


def root_is_ours(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A root folder that is there already is empty or was made by this kit, which removes it one day."""
    if read_or_none(there.facts, "root.exists", bool) and not (
        read_or_none(there.facts, "root.ours", bool) or read_or_none(there.facts, "root.empty", bool)
    ):
        yield Objection(
            f"{read(there.settings, 'root', str)} is not empty and was not made by Sightline",
            "taking a deployment down removes its root folder with everything in it",
            "set sightline_root to a folder that does not exist yet",
        )


def port_is_free(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The port is free, or held by our own service."""
    state, port = read(there.facts, "port.state", str), read(there.settings, "port", int)
    if state == "taken":
        free = read_or_none(there.facts, "port.next_free", int)
        holder = read_or_none(there.facts, "port.holder", str) or "a program that this user may not see"
        yield Objection(
            f"port {port} is taken by {holder}",
            "two programs cannot listen on one port",
            f"set sightline_port to a free port{f' ({free} is)' if free else ''}, or end that program",
        )
    elif state not in ("free", "ours"):
        raise Unreadable("port.state", state)


CHECKS: tuple[tuple[str, Check], ...] = (
    ("model", engine_serves_model),
    ("model", model_is_pinned),
    ("model", model_can_be_brought),
    ("environment", release_is_locked),
    ("environment", architecture_fits),
    ("service", init_is_known),
    ("environment", index_is_reachable),
    ("root", root_is_writable),
    ("root", root_is_ours),
    ("root", disk_is_free),
    ("service", memory_is_there),
    ("service", port_is_free),
)
"""Each check with the step that it stops; those of interpreter and GPU have their own files."""
