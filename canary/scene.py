"""What a picture shows, as data: the truth from which every question and answer is made."""

from __future__ import annotations

from dataclasses import dataclass

KINDS: tuple[str, ...] = ("empty", "shape", "several", "mixed", "number", "word")
"""Nothing; one shape; one to four alike; two to four that differ; digits; a word."""


@dataclass(frozen=True)
class Item:
    """One filled shape: names of its colour and shape."""

    colour: str
    shape: str


@dataclass(frozen=True)
class Scene:
    """One picture: its kind, its shapes, or its text with the text's colour.

    `box` is where the drawing lies in the model's 112 px picture: left, top, right, bottom in pixels
    (an empty picture has the whole picture), so that it can be moved without leaving the picture.
    `edges` says where each character begins and ends, as shares of the box's width.
    """

    kind: str
    items: tuple[Item, ...] = ()
    text: str = ""
    text_colour: str = ""
    box: tuple[float, float, float, float] = (0.0, 0.0, 112.0, 112.0)
    edges: tuple[float, ...] = ()

    @property
    def count(self) -> int:
        """How many shapes it shows."""
        return len(self.items)

    @property
    def colour(self) -> str:
        """The colour of the one thing that is shown; empty where there is none or several that differ."""
        colours = {item.colour for item in self.items} or {self.text_colour}
        return colours.pop() if len(colours) == 1 else ""

    @property
    def shape(self) -> str:
        """The shape that is shown; empty where there is none or several that differ."""
        shapes = {item.shape for item in self.items}
        return shapes.pop() if len(shapes) == 1 else ""
