"""Outlines of the six shapes, as polygons or ellipses around a centre."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Outline:
    """A shape around (0, 0): a polygon's points, or None for an ellipse; half its width and height in
    pixels."""

    points: tuple[Point, ...] | None
    half_width: float
    half_height: float


def _turned(points: list[Point], degrees: float) -> list[Point]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in points]


def _triangle(rng: np.random.Generator, radius: float) -> list[Point]:
    kind = rng.random()
    if kind < 0.45:
        points = [(radius * math.sin(a), -radius * math.cos(a)) for a in (0.0, 2.0944, 4.1888)]
    elif kind < 0.85:
        height = radius * rng.uniform(0.75, 1.0)
        points = [(0.0, -height), (-radius, height), (radius, height)]
    else:
        points = [(-radius, -radius * 0.9), (-radius, radius * 0.9), (radius, radius * 0.9)]
    turn = rng.random()
    if turn < 0.6:
        return points
    return _turned(points, 180.0 if turn < 0.75 else float(rng.uniform(0, 360)))


def _star(rng: np.random.Generator, radius: float) -> list[Point]:
    inner = radius * rng.choice([0.382, 0.4, 0.45, 0.5])
    tips = 5 if rng.random() < 0.93 else 6
    points = []
    for step in range(2 * tips):
        reach = radius if step % 2 == 0 else inner
        angle = math.pi * step / tips
        points.append((reach * math.sin(angle), -reach * math.cos(angle)))
    return _turned(points, float(rng.uniform(-36, 36))) if rng.random() < 0.3 else points


def outline(rng: np.random.Generator, shape: str, radius: float) -> Outline:
    """A shape of about `radius` pixels from its centre to its edge, with the freedom that its name allows.

    A square leans at most 8 degrees and a diamond stands on its corner, so that the two stay apart;
    a rectangle's sides differ by 1.4 at least. Raises ValueError for an unknown shape.
    """
    lean = float(rng.uniform(-8, 8)) if rng.random() < 0.15 else 0.0
    if shape == "circle":
        return Outline(None, radius, radius)
    if shape == "square":
        half = radius * 0.9
        points = _turned([(-half, -half), (half, -half), (half, half), (-half, half)], lean)
    elif shape == "rectangle":
        short = radius / rng.uniform(1.4, 2.6)
        wide, high = (radius, short) if rng.random() < 0.65 else (short, radius)
        points = _turned([(-wide, -high), (wide, -high), (wide, high), (-wide, high)], lean)
    elif shape == "diamond":
        slim = radius if rng.random() < 0.45 else radius * rng.uniform(0.55, 1.0)
        wide, high = (slim, radius) if rng.random() < 0.8 else (radius, slim)
        points = _turned([(0, -high), (wide, 0), (0, high), (-wide, 0)], lean / 2)
    elif shape == "triangle":
        points = _triangle(rng, radius)
    elif shape == "star":
        points = _star(rng, radius * 1.05)
    else:
        raise ValueError(f"unknown shape {shape!r}")
    return Outline(tuple(points), max(abs(x) for x, _ in points), max(abs(y) for _, y in points))
