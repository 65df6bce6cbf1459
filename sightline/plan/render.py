"""The plan as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sightline.plan.outcome import Plan, Share

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def human_bytes(count: int) -> str:
    """Write a number of bytes with three figures and a decimal unit: 48940000000 -> '48.9 GB'."""
    size = float(count)
    for unit in _UNITS:
        if size < 999.5 or unit == _UNITS[-1]:
            break
        size /= 1000
    digits = 0 if unit == "B" or size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{size:.{digits}f} {unit}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Set rows of equal length in columns, two blanks apart; the last column is not padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]]).rstrip()
        for row in rows
    ]


def plan_text(plan: Plan) -> str:
    """Return the whole plan: steps, sums, notes, and what stands in the way."""
    lines = [f"Plan: {plan.model} on {plan.engine} (release {plan.release}) in {plan.root}", ""]
    rows = [("step", "action", "why"), *((step.name, step.action, step.why) for step in plan.steps)]
    lines += [f"  {line}" for line in table(rows)]
    sums = [
        _sum("to fetch", plan.fetch, None),
        _sum("disk", plan.disk, plan.disk_free),
        _sum("memory", plan.memory, plan.memory_there),
        _sum(f"GPU memory for {plan.fit['asked'] if plan.fit else '?'}", plan.gpu, plan.gpu_there),
    ]
    sums = [line for line in sums if line]
    lines += ["", *sums] if sums else []
    lines += ["", *(f"  note: {note}" for note in plan.notes)] if plan.notes else []
    if plan.refusals:
        count = len(plan.refusals)
        lines += ["", f"Refused, {count} reason{'s' if count > 1 else ''}; nothing was changed:"]
        for refusal in plan.refusals:
            lines += [
                f"  {refusal.step}: {refusal.what}",
                f"      why: {refusal.why}",
                f"      do:  {refusal.remedy}",
            ]
    elif not plan.changes:
        lines += ["", "Everything is in place already; nothing will be changed."]
    return "\n".join(lines)


def _sum(name: str, shares: tuple[Share, ...], there: int | None) -> str:
    if not shares:
        return ""
    total = human_bytes(sum(share.bytes for share in shares))
    parts = " + ".join(f"{share.what} {human_bytes(share.bytes)}" for share in shares)
    room = f"; there is {human_bytes(there)}" if there is not None else ""
    return f"  {name}: {total} ({parts}){room}"
