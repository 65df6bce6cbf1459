"""Many runs in a row, to count false alarms of a healthy endpoint or escapes of a broken one."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from .host import CHECKOUT
from .progress import Progress
from .run import Limits, Target, examine
from .sight import Settings
from .store import folder_for, write
from .wording import printable


def repeat(target: Target, settings: Settings, limits: Limits, times: int, as_json: bool, quiet: bool) -> int:
    """Run the sight check `times` times with seeds `seed`, `seed + 1`, ...; keep the reports of runs not
    proven.

    Returns the worst exit status: 1 if any run was not proven, else 2 if any could not tell, else 0.
    """
    outcomes: Counter[str] = Counter()
    right = asked = 0
    kept: list[str] = []
    for number in range(times):
        run = replace(settings, seed=settings.seed + number)
        report = examine(replace(target, record=None), run, limits, Progress(0, quiet=True))
        outcomes[report.verdict.outcome] += 1
        if report.sighting:
            right, asked = right + report.sighting.right(), asked + len(report.sighting.shots)
        if not quiet:
            sentence = printable(report.verdict.sentence, 120)
            print(
                f"{number + 1} of {times} (seed {run.seed}, {report.seconds:.1f} s): {sentence}",
                file=sys.stderr,
            )
        if report.verdict.outcome != "proven":
            folder = folder_for(CHECKOUT, f"{target.name}-repeat", datetime.now(UTC))
            kept.append(str(write(report, folder, link_latest=False)))
    told = {
        "runs": times,
        "proven": outcomes["proven"],
        "not_proven": outcomes["not proven"],
        "could_not_tell": outcomes["could not tell"],
        "right": right,
        "asked": asked,
        "first_seed": settings.seed,
        "reports": kept,
    }
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        print(f"{outcomes['proven']} of {times} runs proven; {right} of {asked} answers right")
        for page in kept:
            print(f"  not proven: {page}")
    return 1 if outcomes["not proven"] else 2 if outcomes["could not tell"] else 0
