"""Each role's README: what its argument_specs say, and below a marker what people wrote."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sightline.layout import CHECKOUT

ROLES = CHECKOUT / "roles"
MARKER = "<!-- Above: written by scripts/role-readme from meta/argument_specs.yml. Below: kept by hand. -->"
NEW = "\n## Example\n\n```yaml\n```\n\n## Notes\n"


class ReadmeProblem(Exception):
    """A role whose README cannot be written; the message says which file, what is wrong and what to do."""


def wanted(role: Path) -> str:
    """What `role`'s README shall be: generated anew above the marker, as it is below it.

    Raises ReadmeProblem.
    """
    return f"{face(role)}\n{MARKER}\n{_kept(role / 'README.md')}"


def face(role: Path) -> str:
    """Title, purpose and variables of `role`, as its argument_specs say. Raises ReadmeProblem."""
    file = role / "meta" / "argument_specs.yml"
    try:
        main = yaml.safe_load(file.read_text())["argument_specs"]["main"]
        options = dict(main["options"])
        parts = [f"# {role.name}", _plain(main["short_description"]) + "."]
        parts += [_plain(paragraph) for paragraph in _paragraphs(main["description"])]
        rows = ["| name | type | default | description |", "| --- | --- | --- | --- |"]
        rows += [row for name, option in options.items() for row in _rows(name, option)]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as problem:
        raise ReadmeProblem(
            f"{file} is not a whole argument specification ({type(problem).__name__}: {problem}); "
            "it needs main with short_description, description, and options with type and description"
        ) from problem
    return "\n\n".join([*parts, "## Variables", "\n".join(rows)]) + "\n"


def _rows(name: str, option: Mapping[str, Any]) -> Iterator[str]:
    kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
    about = _plain(" ".join(_paragraphs(option["description"])))
    if "choices" in option:
        about += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
    default = f"`{json.dumps(option['default'])}`" if "default" in option else ""
    if option.get("required"):
        default = "required"
    yield f"| `{name}` | {kind} | {default} | {about.replace('|', chr(92) + '|')} |"
    for part, inner in option.get("options", {}).items():
        yield from _rows(f"{name}{'' if option.get('type') == 'dict' else '[]'}.{part}", inner)


def _paragraphs(text: str | Sequence[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _plain(text: str) -> str:
    """Ansible's marks as Markdown: C(x), I(x), V(x) and O(x) are code, B(x) is bold."""
    return re.sub(r"\bB\(([^)]*)\)", r"**\1**", re.sub(r"\b[CIVO]\(([^)]*)\)", r"`\1`", text)).strip()


def _kept(readme: Path) -> str:
    if not readme.exists():
        return NEW
    text = readme.read_text()
    if MARKER not in text:
        raise ReadmeProblem(
            f"{readme} has lost the line above the part kept by hand; put it back there: {MARKER}"
        )
    return text.partition(MARKER + "\n")[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 when --check finds a README that is out of date."""
    parser = argparse.ArgumentParser(
        prog="scripts/role-readme",
        description="Write each role's README from its meta/argument_specs.yml; what people wrote is kept.",
        epilog="Example: scripts/role-readme service   writes roles/service/README.md",
    )
    parser.add_argument("roles", nargs="*", metavar="ROLE", help="roles to write; all of them by default")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a README is out of date")
    options = parser.parse_args(argv)
    known = sorted(folder.name for folder in ROLES.iterdir() if folder.is_dir())
    if unknown := [name for name in options.roles if name not in known]:
        parser.error(f"no role is named {', '.join(unknown)}; there is: {', '.join(known)}")
    stale = []
    try:
        for name in options.roles or known:
            readme = ROLES / name / "README.md"
            text = wanted(ROLES / name)
            if not readme.exists() or readme.read_text() != text:
                stale.append(name)
                if not options.check:
                    readme.write_text(text)
                    print(f"wrote roles/{name}/README.md")
    except (ReadmeProblem, OSError) as problem:
        print(f"role-readme: {problem}", file=sys.stderr)
        return 1
    if options.check and stale:
        print(f"role-readme: out of date: {', '.join(stale)}; run scripts/role-readme", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
