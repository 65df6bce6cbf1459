"""What was measured on a device, as people read it and against its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightline.bench.samples import Samples, samples, spread
from sightline.plan.render import table

GOAL = 0.8
"""Of the device's bandwidth, while one request is decoded by a model of real size."""
REAL_SIZE = 1e9
"""Parameters; a smaller model's steps are over before the weights could matter."""


@dataclass(frozen=True)
class Pace:
    """A model's JSON object, as canary/pace.py prints it."""

    model: str
    told: dict[str, Any]

    def figure(self, row: dict[str, Any], kind: str) -> Samples:
        return samples(row[kind])

    @property
    def missed(self) -> bool:
        """Whether it has a budget, was measured against it, and did not keep it."""
        if self.told["device"] == "cpu" or self.told["parameters"] < REAL_SIZE:
            return False
        alone = [self.figure(row, "bandwidth_share") for row in self.told["batches"] if row["batch"] == 1]
        return any(share.median < GOAL for share in alone)

    def to_dict(self) -> dict[str, Any]:
        return {"model": self.model, **self.told}


def kept(found: Sequence[Pace]) -> bool:
    return not any(pace.missed for pace in found)


def lines(found: Sequence[Pace]) -> list[str]:
    """One table for all models, then the ceilings and the budget."""
    rows: list[Sequence[str]] = [
        (
            "model",
            "at once",
            "prompt",
            "prefill/s",
            "decode/s",
            "bandwidth",
            "operations",
            "/ generate",
            "alike",
        )
    ]
    for pace in found:
        for row in pace.told["batches"]:
            times = pace.figure(row, "whole").over(pace.figure(row, "generate"))
            rows.append(
                (
                    pace.model,
                    str(row["batch"]),
                    str(row["prompt"]),
                    f"{pace.figure(row, 'prefill').median:,.0f}",
                    spread(pace.figure(row, "decode"), "{:,.0f}"),
                    f"{pace.figure(row, 'bandwidth_share').median:.0%}",
                    f"{pace.figure(row, 'operations_share').median:.0%}",
                    spread(times, "{:.2f}"),
                    f"{pace.figure(row, 'alike').median:.0%}",
                )
            )
    told = table(rows)
    for pace in found:
        reads, does = (pace.told["ceilings"][kind] for kind in ("bandwidth", "operations"))
        told.append(
            f"{pace.model}: {pace.told['parameters'] / 1e9:.2f} G parameters, {pace.told['dtype']}, torch "
            f"{pace.told['torch']} on {pace.told['device']}, which reads {reads / 1e9:,.0f} GB/s "
            f"and does {does / 1e12:,.2f} T operations/s"
        )
    late = [pace.model for pace in found if pace.missed]
    if late:
        told.append(
            f"budget MISSED: one request decodes at less than {GOAL:.0%} of the bandwidth: {', '.join(late)}"
        )
    return told
