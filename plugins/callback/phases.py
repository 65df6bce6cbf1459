"""Time each play of a run and leave the figures for the summary that scripts/up prints."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: phases
type: aggregate
short_description: Seconds per phase of the journey
description:
  - Writes the seconds of each play and what changed per host to the file named by E(SIGHTLINE_PHASES_FILE).
  - Without it, does nothing.
"""


class CallbackModule(CallbackBase):
    """Writes {"phases": [{"name", "seconds"}], "hosts": {name: {"changed", "failures", "unreachable"}}}."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "phases"

    def __init__(self) -> None:
        super().__init__()
        self.phases: list[dict[str, Any]] = []
        self.started: float | None = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._end_phase()
        self.phases.append({"name": play.get_name().strip()})
        self.started = time.monotonic()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end_phase()
        file = os.environ.get("SIGHTLINE_PHASES_FILE")
        if not file:
            return
        kept = ("changed", "failures", "unreachable")
        hosts = {host: {name: stats.summarize(host)[name] for name in kept} for host in stats.processed}
        Path(file).write_text(json.dumps({"phases": self.phases, "hosts": hosts}, indent=1) + "\n")

    def _end_phase(self) -> None:
        if self.started is not None:
            self.phases[-1]["seconds"] = round(time.monotonic() - self.started, 2)
            self.started = None
