"""What a gateway will be told, and what stands in its way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.gateway.wishes import Wishes, is_address, on_loopback
from sightline.oci.errors import OciTrouble
from sightline.oci.wishes import Wishes as OciWishes
from sightline.oci.wishes import make_ready
from sightline.plan.outcome import Refusal

ENGINE = "gateway"
RELEASES = ("gateway", "gateway-oci")


@dataclass(frozen=True)
class Planned:
    """`settings` is the gateway's file (serve/sightline_gateway/settings.py); keys stand nowhere in it.

    `oci_key_file`: the private key on the controller that goes to the host, "" for none.
    """

    settings: dict[str, Any]
    oci_key_file: str
    notes: tuple[str, ...]
    refusals: tuple[Refusal, ...]


def plan_gateway(wishes: Wishes, root: str, uid: int, members: tuple[str, ...] = ()) -> Planned:
    """Work out the gateway on a host where Ansible is user `uid`; `members` are the replicas' group.

    Nothing is raised: what is in the way stands in `refusals`.
    """
    refusals = [Refusal("gateway", "service", *said) for said in _objections(wishes, uid, members)]
    settings = {
        "model": _model(wishes),
        "replicas": [
            {"name": replica.name, "url": replica.url, "model": replica.model} for replica in wishes.replicas
        ],
        **wishes.tuning,
        "body_limit": wishes.body_bytes,
    }
    notes, key_file = list(_costs(wishes)), ""
    if wishes.oci:
        try:
            ready = make_ready(OciWishes(**wishes.oci))
        except OciTrouble as problem:
            refusals.append(Refusal("oci", "service", *_said(problem)))
        else:
            key_file = ready.key_file
            settings["model"] = settings["model"] or ready.settings["model"]
            settings["oci"] = ready.settings | (
                {"key_file": f"{root}/secrets/oci_key.pem"} if key_file else {}
            )
            notes += [f"OCI: {note}" for note in ready.notes]
    return Planned(settings, key_file, tuple(notes), tuple(refusals))


def stood_before(model: Mapping[str, Any]) -> dict[str, Any]:
    """The catalogue's entry for the model as a gateway has it: no weights, served by its own releases."""
    serving = {
        "engine": ENGINE,
        "releases": list(RELEASES),
        "needs_gpu": False,
        "status": "checked_here",
        "source": "a gateway passes requests on",
    }
    engines = {**model["engines"], "can_serve": [*model["engines"]["can_serve"], serving]}
    # None is loaded: no memory is counted for them.
    files = [{**file, "role": "support"} for file in model["files"]]
    return {**model, "engines": engines, "files": files}


def as_there(facts: Mapping[str, Any], model: str, fingerprint: str) -> dict[str, Any]:
    """The facts with the model whole: a gateway has none to bring."""
    there = {"name": model, "complete": True, "fingerprint": fingerprint, "disk_bytes": 0, "there_bytes": 0}
    return {**facts, "installed": {**facts["installed"], "model": there}}


def _model(wishes: Wishes) -> str:
    return wishes.model or (wishes.replicas[0].model if wishes.replicas else "")


def _costs(wishes: Wishes) -> Iterator[str]:
    yield "a gateway adds some 50 ms to an answer, 20 of them to its first word (docs/gateway.md)"
    if len(wishes.replicas) == 1 and not wishes.oci:
        yield "one replica needs no gateway: it only adds keys and TLS, and nothing takes over when it fails"


def _objections(wishes: Wishes, uid: int, members: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """What is wrong, why, and what to do."""
    if wishes.host in members:
        yield (
            f"{wishes.host} is in the groups sightline and gateway",
            "the two have root folders, services and plans of their own",
            "give the machine a second name in the inventory for the gateway",
        )
    if not wishes.replicas and not wishes.oci:
        yield (
            "the gateway has nothing to stand before",
            "the group sightline has no host, and gateway_oci is not set",
            "put hosts into the group sightline",
        )
    models = sorted({replica.model for replica in wishes.replicas})
    if len(models) > 1 and not wishes.model:
        yield (
            f"the replicas serve different models: {', '.join(models)}",
            "clients ask for one name and may get any of them",
            "set sightline_gateway_model to the name that clients shall use, if that is meant",
        )
    for replica in wishes.replicas:
        if on_loopback(replica.url) and not (replica.local and wishes.local):
            yield (
                f"{replica.name} listens where the gateway does not reach it ({replica.url})",
                "a loopback address is another one on every machine",
                f"set sightline_bind of {replica.name} to an address in the network of the two (0.0.0.0: to "
                "all), or sightline_replica_url to the way there",
            )
    yield from _tls_objections(wishes, uid)


def _tls_objections(wishes: Wishes, uid: int) -> Iterator[tuple[str, str, str]]:
    if wishes.tls == "none":
        return
    if uid != 0:
        yield (
            "Caddy speaks TLS before the gateway, and only root can install it",
            "it comes as a package of the distribution",
            "let Ansible be root (ansible_become), or set sightline_gateway_tls to none behind your own",
        )
    if wishes.tls == "acme" and (is_address(wishes.name) or wishes.port != 443):
        yield (
            f"no public authority certifies {wishes.name} on port {wishes.port}",
            "it asks for a public name, on port 443",
            "set sightline_gateway_name to the host's public name and sightline_port to 443; or another "
            "sightline_gateway_tls",
        )
    if wishes.tls == "files":
        for setting, path in (
            ("certificate", wishes.certificate),
            ("certificate_key", wishes.certificate_key),
        ):
            if not path or not os.access(path, os.R_OK):
                yield (
                    f"sightline_gateway_{setting} names no file that can be read: {path or '(not set)'}",
                    "sightline_gateway_tls is files",
                    "name a PEM file on this machine",
                )


def _said(problem: OciTrouble) -> tuple[str, str, str]:
    return problem.what, "Oracle's service shall answer where no replica does", problem.remedy
