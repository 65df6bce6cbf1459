"""The files list of a model that lies in this repository: made from its folder, and held against it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from sightline.catalogue.entries import CATALOGUE, Entry, entry_problems, load_model, shown_name
from sightline.catalogue.errors import CatalogueError, Problem
from sightline.catalogue.reading import parse_entry

_BLOCK = re.compile(r"^files:.*\n(?:[ \t-].*\n|#.*\n|\n)*?(?=^[^ \t#\n-])", re.MULTILINE)


def role_of(path: str) -> str:
    """Return the role that a file's name tells: weights, projector, code, document or support."""
    name = path.rsplit("/", 1)[-1]
    if name.startswith("mmproj") and name.endswith(".gguf"):
        return "projector"
    if name.endswith((".safetensors", ".gguf")):
        return "weights"
    if name.endswith(".py"):
        return "code"
    return "document" if name.endswith(".md") or name.startswith("LICEN") else "support"


def folder_files(folder: Path) -> list[dict[str, Any]]:
    """Return path, size, sha256 and role of every file below `folder`, hidden ones left out, sorted by path.

    Raises:
        OSError: the folder or a file cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = []
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if not path.is_file() or any(part.startswith((".", "__")) for part in below.parts):
            continue
        content = path.read_bytes()
        found.append(
            {
                "path": below.as_posix(),
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "role": role_of(below.as_posix()),
            }
        )
    return sorted(found, key=lambda file: str(file["path"]))


def model_folder(model: Entry, shown: str, root: Path = CATALOGUE) -> Path:
    """Return the folder of a model that lies in this repository.

    Raises:
        CatalogueError: the model comes from a hub.
    """
    if model["source"]["kind"] != "repository":
        what = "comes from a hub: its files are not in this checkout"
        raise CatalogueError([Problem(shown, "source.kind", what, "stamp only what has `kind: repository`")])
    return root.parent / str(model["source"]["path"])


def folder_problems(model: Entry, root: Path = CATALOGUE) -> list[Problem]:
    """Return each difference between a repository model's entry and its folder; none for a hub's model."""
    if model["source"]["kind"] != "repository":
        return []
    shown = shown_name("model", model["name"])
    remedy = f"if the folder is right, run `scripts/catalogue stamp {model['name']}`"
    try:
        there = {file["path"]: file for file in folder_files(model_folder(model, shown, root))}
    except OSError as error:
        return [Problem(shown, "source.path", str(error), "correct the path, or bring the folder back")]
    said = {file["path"]: file for file in model["files"]}
    problems = []
    for path in sorted(there.keys() | said.keys()):
        if path not in said:
            problems.append(Problem(shown, "files", f"{path} is in the folder, but not in the entry", remedy))
        elif path not in there:
            problems.append(Problem(shown, "files", f"{path} is in the entry, but not in the folder", remedy))
        else:
            for key in ("size", "sha256"):
                if said[path][key] != there[path][key]:
                    what = f"{path} has another {key} in the folder"
                    problems.append(Problem(shown, "files", what, remedy))
    return problems


def stamp(name: str, root: Path = CATALOGUE) -> int:
    """Write the files list of a repository model anew from its folder; the rest of the entry stays as it is.

    Returns:
        The number of files. The entry is replaced in one move, and only when the new one is valid.

    Raises:
        CatalogueError: there is no such model, it comes from a hub, its folder cannot be read or is empty, or
            the entry would not be valid with the new list.
    """
    model, shown = load_model(name, root), shown_name("model", name)
    try:
        files = folder_files(model_folder(model, shown, root))
    except OSError as error:
        raise CatalogueError([Problem(shown, "source.path", str(error), "make the files first")]) from error
    if not files:
        what = f"the folder {model['source']['path']} holds no file"
        raise CatalogueError([Problem(shown, "source.path", what, "make the files first")])
    path = root / "models" / f"{name}.yml"
    text, count = _BLOCK.subn(lambda _: files_block(files), path.read_text(encoding="utf-8"), count=1)
    if count != 1:
        what = "the entry's `files:` block was not found"
        raise CatalogueError(
            [Problem(shown, "files", what, "let `files:` stand in the first column, not last")]
        )
    problems = entry_problems("model", parse_entry(text, shown), shown)
    if problems:
        raise CatalogueError(problems)
    write_whole(path, text)
    return len(files)


def files_block(files: list[dict[str, Any]]) -> str:
    """The `files:` part of an entry, one line a file."""
    lines = [
        f'  - {{path: {_quoted(file["path"])}, size: {file["size"]}, sha256: "{file["sha256"]}", '
        f"role: {file['role']}}}\n"
        for file in files
    ]
    return "files:\n" + "".join(lines)


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[A-Za-z][A-Za-z0-9._/-]*", path) else json.dumps(path)


def write_whole(path: Path, text: str) -> None:
    """Put `text` in place of the file in one move. Raises OSError."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(beside, path.stat().st_mode if path.exists() else 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
