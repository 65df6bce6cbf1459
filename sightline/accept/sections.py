"""What the scripts on the box print: sections between marked lines, in a form that no content can forge.

A section begins with a line `MARK begin NAME` and ends with `MARK end CODE`, each after a line break of its
own. MARK is a random word of this run, so text of the box cannot hold it. A section without an end
was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One section. `code` is the exit code of what printed it, None where it was cut off."""

    name: str
    text: str
    code: int | None


@dataclass(frozen=True)
class Said:
    """All that a script printed, in order."""

    sections: tuple[Section, ...]

    def get(self, name: str) -> Section | None:
        """The section of that name, the first of several."""
        return next((section for section in self.sections if section.name == name), None)

    def text(self, name: str) -> str:
        """Its text; "" where there is none."""
        section = self.get(name)
        return section.text if section else ""

    def under(self, kind: str) -> Iterator[tuple[str, Section]]:
        """Sections named `KIND REST`, with the rest of the name."""
        for section in self.sections:
            if section.name.startswith(f"{kind} "):
                yield section.name.removeprefix(f"{kind} "), section

    def files(self) -> dict[str, str]:
        """Texts of the box's files by their paths."""
        return {path: section.text for path, section in self.under("file")}


def parse(output: str, mark: str) -> Said:
    """Take the sections out of what a script printed; what stands outside of them is not ours."""
    found: list[Section] = []
    name: str | None = None
    lines: list[str] = []
    for line in output.split("\n"):
        word, _, rest = line.partition(" ")
        if word != mark:
            lines.append(line)
            continue
        what, _, detail = rest.partition(" ")
        if name is not None:
            # The line break before the mark is the mark's own: a text need not end with one.
            code = int(detail) if what == "end" and detail.isdigit() else None
            found.append(Section(name, "\n".join(lines), code))
        name = detail if what == "begin" else None
        lines = []
    if name is not None:
        found.append(Section(name, "\n".join(lines), None))
    return Said(tuple(found))
