"""A catalogue entry made from what a hub says: facts only, and null with a mark where it says nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from sightline.catalogue.config import UnknownArchitecture, read_config, read_quantisation
from sightline.catalogue.entries import CATALOGUE, Entry, entry_problems, load_model, names, shown_name
from sightline.catalogue.errors import CatalogueError, Problem
from sightline.catalogue.folder import files_block, role_of, write_whole
from sightline.catalogue.hub import Found
from sightline.catalogue.marks import nulls_of
from sightline.catalogue.reading import parse_entry


def usual_name(repo: str) -> str:
    """The name of an entry for `repo`: its own, in small letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", repo.partition("/")[2].lower()).strip("-.")


def make_entry(found: Found, name: str, like: Entry | None) -> Entry:
    """The entry for what was found. `like`: an entry that its engines, prompts and memory are taken from.

    Raises CatalogueError: its architecture is not known, and there is no `like`; or the entry breaks a rule.
    """
    shown = shown_name("model", name)
    source = f"the listing of {found.hub}, {datetime.now(UTC):%Y-%m-%d}"
    entry: Entry = {
        "schema": 1,
        "name": name,
        "title": found.repo.partition("/")[2].replace("-", " "),
        "summary": f"Added from {found.repo} by scripts/catalogue add; nobody here has looked at it yet.",
        "source": {"kind": "hub", "repo": found.repo, "commit": found.commit},
        "licence": _licence(found.info),
        "files": [{**file, "role": role_of(file["path"])} for file in found.files],
    }
    said = {
        "commit": source,
        "licence": source,
        "file_list": f"{source}; without what no engine needs",
        "file_sizes": source,
        "file_hashes": f"{source}: ids of large files; small ones were hashed when they were added",
    }
    for group, value, why in _groups(found, like, shown):
        entry[group] = value
        if why:
            said[group] = why
    entry["provenance"] = {}
    for group in (*said, "memory"):
        if group not in entry["provenance"]:
            entry["provenance"][group] = _mark(group, entry, said.get(group))
    problems = entry_problems("model", entry, shown)
    if problems:
        raise CatalogueError(problems)
    return entry


def _groups(found: Found, like: Entry | None, shown: str) -> list[tuple[str, Any, str]]:
    """(group, value, who says so; "" for the engines, which say so themselves)."""
    config = found.told.get("config.json") or {}
    given = f"{like['name']}, to which it was said to be alike" if like else ""
    groups: list[tuple[str, Any, str]] = []
    try:
        if not config:
            raise UnknownArchitecture("it has no config.json (a repository of GGUF files?)")
        architecture = read_config(config, found.told.get("preprocessor_config.json") or {})
        quantisation = read_quantisation(config)
        total = (
            (found.info.get("safetensors") or {}).get("total") if quantisation["method"] == "none" else None
        )
        groups += [
            ("parameters", {"total": total}, "the hub's count of the safetensors files"),
            ("quantisation", quantisation, "config.json"),
            ("architecture", architecture, "config.json and preprocessor_config.json"),
        ]
    except UnknownArchitecture as problem:
        if like is None:
            remedy = "name an entry with the same architecture (--like NAME), or write it by hand"
            raise CatalogueError([Problem(shown, "architecture", str(problem), remedy)]) from problem
        groups += [(group, like[group], given) for group in ("parameters", "quantisation", "architecture")]
    if like:
        groups += [("engines", like["engines"], "")]
        groups += [(group, like[group], given) for group in ("prompts", "memory")]
    else:
        templates = any(file["path"].startswith("chat_template.") for file in found.files)
        prompts: dict[str, Any] = {
            "template": "processor" if templates else "tokenizer",
            "notes": "Read off the names of its files; not tried here.",
        }
        sampling = _sampling(found.told.get("generation_config.json") or {})
        groups += [
            ("engines", {"can_serve": [], "cannot_serve": []}, ""),
            ("prompts", prompts | ({"sampling": sampling} if sampling else {}), "generation_config.json"),
            (
                "memory",
                {"minimum_vram_bytes": None, "minimum_ram_bytes": None, "notes": "Not tried here."},
                "",
            ),
        ]
    return groups


def _licence(info: dict[str, Any]) -> dict[str, Any]:
    card = info.get("cardData") if isinstance(info.get("cardData"), dict) else {}
    tags = [tag.partition(":")[2] for tag in info.get("tags") or () if str(tag).startswith("license:")]
    stated = (card or {}).get("license") or next(iter(tags), None)
    stated = stated[0] if isinstance(stated, list) and stated else stated
    gated = info.get("gated")
    return {
        "id": stated if isinstance(stated, str) else None,
        "gated": None if gated is None else bool(gated),
    }


def _sampling(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(told.get("temperature"), int | float):
        found["temperature"] = told["temperature"]
    if isinstance(told.get("top_p"), int | float) and 0 < told["top_p"] <= 1:
        found["top_p"] = told["top_p"]
    if isinstance(told.get("top_k"), int):
        found["top_k"] = told["top_k"]
    return found


def _mark(group: str, entry: Entry, source: str | None) -> dict[str, Any]:
    nulls = nulls_of(group, entry)
    if not source:
        return {"status": "unknown", "source": "not found"}
    return {"status": "stated", "source": source} | ({"unknown": sorted(nulls)} if nulls else {})


def write_entry(entry: Entry, root: Path = CATALOGUE) -> Path:
    """Write the entry's file, whole or not at all; it must be one that can be read back the same."""
    path = root / "models" / f"{entry['name']}.yml"
    text = ""
    for key, value in entry.items():
        if key == "files":
            text += files_block(value)
        else:
            text += yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=118)
    shown = shown_name("model", entry["name"])
    if parse_entry(text, shown) != entry:
        raise CatalogueError([Problem(shown, "", "cannot be written as YAML", "report this")])
    write_whole(path, text)
    return path


def known(name: str | None, root: Path = CATALOGUE) -> Entry | None:
    """The entry called `name`, None for none. Raises CatalogueError: there is no such entry."""
    return load_model(name, root) if name else None


def check_free(name: str, replace: bool, root: Path = CATALOGUE) -> None:
    """Raises CatalogueError: there is an entry of that name, and it is not to be replaced."""
    if name in names("model", root) and not replace:
        what = "is there already"
        raise CatalogueError(
            [Problem(shown_name("model", name), "", what, "give another --name, or --replace it")]
        )
