"""A result as people read it."""

from __future__ import annotations

from sightline.bench.provision.result import NAMES, Result
from sightline.bench.samples import spread
from sightline.plan.render import table


def lines(result: Result, rounds: int, kept: bool) -> list[str]:
    """The whole result: times, ratios, what reached a host, what more hosts and latency cost, budgets."""
    connections = "connections kept open" if kept else "each command makes its own connection"
    commands = list(result.points[0].seconds)
    head = ["hosts", "round trip"]
    for what in commands:
        head += [NAMES[what]] if what == "ping" else [NAMES[what], "x ping"]
    rows = [head]
    for point in result.points:
        row = [str(point.hosts), f"{point.round_trip * 1e3:.3g} ms"]
        for what in commands:
            row.append(spread(point.seconds[what], "{:.2f}", " s"))
            row += [] if what == "ping" else [spread(point.pings(what), "{:.1f}")]
        rows.append(row)
    told = [f"A no-change run over ssh; medians of {rounds} round(s), lowest to highest; {connections}.", ""]
    told += [*table(rows), "", "Reached a host, by its own sshd's log:"]
    for hosts, by_command in result.reached.items():
        said = (
            f"{NAMES[what]} {it.sessions} session(s) in {it.connections} connection(s)"
            for what, it in by_command.items()
        )
        told.append(f"  of {hosts} host(s): {'; '.join(said)}")
    for what in commands:
        for more, few, ratio in result.against_fewest(what):
            at = f"{more.latency * 1e3:g} ms"
            told.append(
                f"{more.hosts} hosts against {few.hosts}, {at}, {NAMES[what]}: x {spread(ratio, '{:.2f}')}"
            )
    for what in commands:
        for point, trips in result.round_trips(what):
            count = spread(trips, "{:.0f}")
            told.append(f"{NAMES[what]} waits for {count} round trips ({point.hosts} host(s))")
    for point in result.points:
        said = (f"{name} {seconds:.2f}" for name, seconds in point.phases.items())
        told.append(f"seconds by play, {point.hosts} host(s), {point.latency * 1e3:g} ms: {', '.join(said)}")
    told.append(f"the first deployment, to all hosts at once: {result.cold_seconds:.0f} s")
    told += [""] + [
        f"budget {'kept' if it.kept else 'MISSED'}: {it.what}: {it.worst:.3g}, at most {it.limit:g}"
        for it in result.budgets
    ]
    return told
