"""What a plan says of LocalAI: pins, places, and a model file that LocalAI will read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sightline.localai import ModelFileProblem, model_files, read_wishes
from sightline.localai.wishes import Wishes, sha256_of
from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation

ENGINE = "localai"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"v\d+\.\d+\.\d+")


def plan_localai(model: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What the roles are told of LocalAI: its wishes, and `files` (path in the release: text).

    {} for another engine. `wanted` as in `prepare`. Where no model file can be made there are no `files`;
    the plan's check says why. Raises OSError.
    """
    if wanted.get("engine") != ENGINE:
        return {}
    settings, workload = wanted.get("localai") or {}, wanted.get("workload") or {}
    wishes = read_wishes(settings, read_or_none(wanted["host"], "arch", str) or "")
    files: dict[str, str] = {}
    with suppress(ModelFileProblem):
        files = _files(model, settings, workload)
    return wishes.to_dict() | {"files": {f"models/{name}": text for name, text in files.items()}}


def localai_can_be_brought(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """LocalAI's binary or image and its backend are pinned as well as can be, and their files are here."""
    if wishes := _wishes(there):
        yield from _objections(wishes)
        bundle = read_or_none(there.settings, "bundle", dict)
        if bundle and (away := [place for place in (wishes.binary, wishes.backend) if "://" in place]):
            yield Objection(
                f"LocalAI would come from {' and '.join(away)}",
                f"with {bundle['place']} nothing comes from a network, and a bundle does not hold LocalAI",
                "name files of the controller in sightline_localai_binary and sightline_localai_backend",
            )


def localai_can_be_told(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """A model file can be made from the catalogue's entry and the settings."""
    if _wishes(there) is None:
        return
    workload = read_or_none(there.settings, "workload", dict) or {}
    try:
        _files(there.model, read_or_none(there.settings, "localai", dict) or {}, workload)
    except ModelFileProblem as problem:
        yield Objection(
            str(problem),
            "LocalAI starts without a model that it cannot read, and says that it is ready",
            "correct it in the inventory or the catalogue (docs/localai.md)",
        )


def localai_notes(there: Situation, changing: set[str]) -> list[str]:
    """What a person should know of where LocalAI comes from."""
    wishes = _wishes(there)
    return list(_of_origin(wishes)) if wishes and "service" in changing else []


def _wishes(there: Situation) -> Wishes | None:
    """None for another engine."""
    if read_or_none(there.settings, "engine", str) != ENGINE:
        return None
    settings = read_or_none(there.settings, "localai", dict) or {}
    return read_wishes(settings, read_or_none(there.facts, "arch", str) or "")


def _files(
    model: Mapping[str, Any], settings: Mapping[str, Any], workload: Mapping[str, Any]
) -> dict[str, str]:
    """The model file and its template by name. Raises ModelFileProblem."""
    context, slots = (int(workload.get(name) or 0) for name in ("context", "slots"))
    return model_files(model, model["name"], settings.get("model") or {}, context, slots)


def _objections(wishes: Wishes) -> Iterator[Objection]:
    """What is wrong with the wishes; nothing is fetched for that."""
    if not _VERSION.fullmatch(wishes.version):
        yield Objection(
            f"sightline_localai_version is {wishes.version!r}",
            "the binary, its checksum and the backend are found by it",
            "write it as LocalAI does, such as v4.9.0",
        )
    if wishes.runs_as not in ("binary", "container"):
        yield Objection(
            f"sightline_localai_as is {wishes.runs_as!r}",
            "LocalAI runs as a binary or as a container",
            "write binary or container",
        )
    if wishes.runs_as == "container" and not re.fullmatch(r"[^@\s]+@sha256:[0-9a-f]{64}", wishes.image):
        yield Objection(
            f"sightline_localai_image is {wishes.image!r}",
            "a tag can be moved to another image; a digest cannot",
            f"write docker.io/localai/localai:{wishes.version}@sha256:... (docker buildx imagetools inspect "
            "tells the digest)",
        )
    for what, place, sha256 in (
        ("binary", wishes.binary, wishes.binary_sha256),
        ("backend", wishes.backend, wishes.backend_sha256),
    ):
        yield from _of_one(what, place, sha256)


def _of_origin(wishes: Wishes) -> Iterator[str]:
    """What a person should know before it is done."""
    if wishes.binary.startswith("https://") and not wishes.binary_sha256:
        yield (
            f"LocalAI's binary is held against {wishes.checksums}, fetched once and remembered; "
            "sightline_localai_binary_sha256 takes a sum that you know from elsewhere"
        )
    if "://" in wishes.binary + wishes.backend:
        yield "how many bytes LocalAI's binary and backend have is not known; they come on top"
    if wishes.backend.startswith("oci://") and "@sha256:" not in wishes.backend:
        yield (
            f"LocalAI's backend is {wishes.backend}, a tag that its owner can move; "
            "sightline_localai_backend with @sha256:... or an archive cannot be"
        )


def _of_one(what: str, place: str, sha256: str) -> Iterator[Objection]:
    setting = f"sightline_localai_{what}"
    scheme = {"binary": "https://", "backend": "oci://"}[what]
    if place.startswith(scheme):
        pass
    elif "://" in place:
        yield Objection(
            f"{setting} is {place}",
            f"only {scheme} and files of the controller are taken",
            f"write an address that begins with {scheme}, or a file",
        )
        return
    elif place and not Path(place).is_file():
        yield Objection(
            f"{setting} is {place}, and there is no such file here",
            "it is sent from the controller",
            "write the file's whole path on this machine",
        )
        return
    if sha256 and not _SHA256.fullmatch(sha256):
        yield Objection(
            f"{setting}_sha256 is {sha256!r}",
            "a sha256 has 64 hexadecimal digits",
            "copy the whole sum",
        )
    elif sha256 and place and "://" not in place and sha256_of(place) != sha256:
        yield Objection(
            f"{place} has the sha256 {sha256_of(place)}",
            f"{setting}_sha256 wants {sha256}",
            "fetch the file again, or correct the sum if it is of another version",
        )
