"""Every null must be marked as unknown, and nothing that is known may carry the mark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sightline.catalogue.errors import Problem
from sightline.catalogue.schema import Kind

_FILE_GROUPS = {"file_sizes": "size", "file_hashes": "sha256"}


def nulls_of(group: str, entry: dict[str, Any]) -> list[str]:
    """Return what is not known in one group of facts: dotted keys, or for files the files' paths.

    `group` is a key of the entry's `provenance`. The entry must already fit its schema.
    """
    if group == "commit":
        return ["commit"] if entry["source"].get("commit", "") is None else []
    if group == "file_list":
        # What lies in this repository is listed from its folder: nothing there is known to be nothing.
        return [] if entry["files"] or entry["source"]["kind"] == "repository" else ["files"]
    if group in _FILE_GROUPS:
        return [file["path"] for file in entry["files"] if file[_FILE_GROUPS[group]] is None]
    return list(_null_keys(entry[group], ""))


def _null_keys(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{at}.{key}" if at else key
            if inner is None:
                yield place
            else:
                yield from _null_keys(inner, place)


def mark_problems(kind: Kind, entry: dict[str, Any], shown: str) -> list[Problem]:
    """Return each null that `provenance` does not admit and each mark that has nothing to mark.

    The entry must already fit the schema of its `kind`.
    """
    problems = []
    for group, provenance in entry["provenance"].items():
        nulls = nulls_of(group, entry)
        key = f"provenance.{group}"
        if provenance["status"] == "unknown":
            # A list of files can be there and yet not be known to be whole.
            if not nulls and group != "file_list" and (entry["files"] or not group.startswith("file_")):
                what = "says unknown, but the values are there"
                problems.append(Problem(shown, key, what, "say stated or checked_here, with the source"))
            continue
        marked = provenance.get("unknown", [])
        for name in sorted(set(nulls) - set(marked)):
            what = f"{name} is null without a mark"
            problems.append(Problem(shown, key, what, f"write the value, or list {name!r} in {key}.unknown"))
        for name in sorted(set(marked) - set(nulls)):
            what = f"marks {name!r} as unknown, but no such value is null"
            problems.append(Problem(shown, f"{key}.unknown", what, "take the mark away or correct its name"))
    if kind == "model" and entry["source"]["kind"] == "repository" and "commit" in entry["provenance"]:
        what = "a folder of this repository has no commit of its own"
        problems.append(Problem(shown, "provenance.commit", what, "take it out"))
    return problems
