"""What a verdict means, in words for someone who has never seen the project."""

from __future__ import annotations

from .verdict import OutcomeName

MEANING: dict[OutcomeName, str] = {
    "proven": (
        "Pictures with random content were drawn a moment before they were sent, so their content could not "
        "be known in advance, and the endpoint described them correctly. When the picture was changed or "
        "taken away under the same question, its answers changed as they should. The answers therefore came "
        "from looking at the pictures."
    ),
    "not proven": (
        "The endpoint answered, but its answers do not show that it looks at the pictures, or not reliably "
        "enough to build on. Don't put it to use before the cause below is mended; then run the check again."
    ),
    "could not tell": (
        "The endpoint could not be examined, so nothing is known about its sight, good or bad. "
        "Remove the obstacle below and run the check again."
    ),
}

HEADLINE: dict[OutcomeName, str] = {
    "proven": "This endpoint sees",
    "not proven": "This endpoint is not proven to see",
    "could not tell": "Could not tell whether this endpoint sees",
}

KIND_TITLES: dict[str, str] = {
    "colour": "Colour",
    "shape": "Shape",
    "count": "Counting",
    "number": "Reading numbers",
    "word": "Reading words",
    "empty": "Empty picture",
    "pair": "Two pictures",
    "follow-up": "Follow-up question",
    "json": "Answer as JSON",
}


def printable(text: str, longest: int = 80) -> str:
    """A model's words made safe for a terminal: one line, no control characters, cut at `longest`
    characters.
    """
    line = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
