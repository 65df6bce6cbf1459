"""Read a YAML entry, refusing what YAML itself would let pass in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sightline.catalogue.errors import CatalogueError, Problem


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, except that a key given twice is an error: YAML keeps the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not a text; put it in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_entry(path: Path, shown: str) -> dict[str, Any]:
    """Return the mapping that the YAML file at `path` holds; `shown` names the file in messages.

    Raises:
        CatalogueError: the file cannot be read, is not YAML, holds a key twice, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError([Problem(shown, "", f"cannot be read ({error})", "check the file")]) from error
    return parse_entry(text, shown)


def parse_entry(text: str, shown: str) -> dict[str, Any]:
    """Return the mapping that a YAML text holds; see `read_entry`."""
    try:
        document = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "is not YAML"
        raise CatalogueError([Problem(shown, line, what, "correct the YAML at that line")]) from error
    if not isinstance(document, dict):
        raise CatalogueError([Problem(shown, "", "holds no mapping of keys", "see docs/catalogue.md")])
    return document
