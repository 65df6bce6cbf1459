"""Read how long answers took from a report of scripts/prove."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sightline.quote.price import Measured


class NoMeasurement(ValueError):
    """A file that is no report of scripts/prove with answers, or of another model; the text says which."""


def read_report(path: Path, model: str) -> Measured:
    """Return the median seconds of an answer in a report.json of scripts/prove about `model`.

    Raises:
        NoMeasurement: the file cannot be read, holds no such figures, or is about another model.
    """
    try:
        report: Any = json.loads(path.read_text(encoding="utf-8"))
        named, latency = report["target"]["model"], report["sight"]["latency_s"]
        found = Measured(
            float(latency["median"]), int(latency["answers"]), f"{path.name} of {report['started_at']}"
        )
    except OSError as problem:
        raise NoMeasurement(f"{path} cannot be read: {problem.strerror}") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise NoMeasurement(
            f"{path} is no report of scripts/prove with answers in it; give its report.json"
        ) from problem
    if named != model:
        raise NoMeasurement(f"{path} is about {named}, not about {model}")
    if found.seconds <= 0 or found.answers < 1:
        raise NoMeasurement(f"{path} holds no answers")
    return found
