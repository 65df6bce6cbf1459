"""Makes a host's network slow and lossy, and good again, while it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

from tests.lab import cgroups, links
from tests.lab.place import CHECKOUT, Place, Record, Slow
from tests.lab.problems import LabError
from tests.lab.processes import Process

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def seconds(text: str) -> float:
    """`100ms`, `1.5s` or `200us` in seconds. Raises LabError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text)
    if not found or float(found[1]) * _UNITS[found[2]] > 60:
        raise LabError(f"latency is a time up to 60s with a unit, such as 100ms, not '{text}'")
    return float(found[1]) * _UNITS[found[2]]


def share(text: str) -> float:
    """`1%` or `0.5%` as a share of 1. Raises LabError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if not found or float(found[1]) > 100:
        raise LabError(f"loss is a percentage up to 100%, such as 1%, not '{text}'")
    return float(found[1]) / 100


def switch_on(place: Place, record: Record, latency: float, loss: float) -> Record:
    """Put a slow wire between the host's cable and the bridge: `latency` seconds of round trip more."""
    record = switch_off(place, record)
    near, far, between = (place.link(letter, record.index) for letter in "nfb")
    command = [sys.executable, "-m", "tests.lab.relay", near, far, str(latency / 2), str(loss)]
    with subprocess.Popen(
        ["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(_group(place, record)), *command],
        cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        said = started.stdout.readline().strip()
        if said != "carrying":
            started.kill()
            raise LabError(f"the slow wire did not start: {said or 'it said nothing'}")
        slow = Slow(Process.of(started.pid), latency, loss)
        started.returncode = 0  # it goes on without us
    slowed = replace(record, slow=slow)
    place.write(slowed)
    links.add_bridge(between)
    for name, bridge in ((place.link("h", record.index), between), (near, between), (far, place.bridge)):
        links.plug(name, bridge)
    return slowed


def switch_off(place: Place, record: Record) -> Record:
    """The host's cable goes straight to the bridge again; nothing happens when it does already."""
    if record.slow is None:
        return record
    links.plug(place.link("h", record.index), place.bridge)
    record.slow.relay.stop(patience=2)
    links.remove(place.link("b", record.index))
    fast = replace(record, slow=None)
    place.write(fast)
    return fast


def _group(place: Place, record: Record) -> str:
    """The relay lives in the host's group, beside the container, so that nothing of it outlives the host."""
    return str(cgroups.make(f"{place.group}/{record.name}/relay")[0])
