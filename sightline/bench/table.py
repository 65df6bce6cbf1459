"""Numbers and rows as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.bench.samples import Samples


def spread(values: Samples, form: str, unit: str = "") -> str:
    """The median with the lowest and the highest, such as `1.20 s (1.10-1.31)`."""
    low, high = form.format(values.low), form.format(values.high)
    return f"{form.format(values.median)}{unit} ({low}-{high})"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
