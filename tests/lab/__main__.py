"""The command line of scripts/lab."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab import disks, lab, slow, status
from tests.lab.kinds import KINDS, USUAL
from tests.lab.place import Place, Record
from tests.lab.problems import LabError, NotHere
from tests.lab.readiness import ssh

_TEACH = f"""\
kinds of hosts:
{chr(10).join(f"  {kind.name:<10} {kind.about}" for kind in KINDS.values())}

a first round:
  scripts/lab up debian12                    start one host (the first time builds its base tree too)
  scripts/lab up a=debian12 b=debian12       two of a kind, under names of your own
  scripts/lab ssh debian12 uname -a          run something there; without a command, a shell
  ansible -i .sightline/lab/inventory.yml sightline -m ping
  scripts/lab slow debian12 --latency 100ms --loss 1%      and --off
  scripts/lab full debian12 /opt             its disk is full from now on; and --off
  scripts/lab down                           everything is gone again, also after a crash

exit codes: 0 done, 1 failed, 2 wrong words, 3 not run: this machine cannot (the reason is printed)
"""


def main(words: Sequence[str]) -> int:
    try:
        given = _parser().parse_args(words)
        place = Place.at(Path(given.folder)) if given.folder else Place.usual()
        result: int = given.run(place, given)
        return result
    except NotHere as reason:
        print(f"not run: {reason}")
        return 3
    except LabError as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    except PermissionError as problem:
        print(f"lab: {problem}; what root started, root looks after", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/lab",
        description="Real hosts on this machine to deploy to: started in seconds, gone without a trace.",
        epilog=_TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", help="of another lab beside the usual one (.sightline/lab)")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    up = commands.add_parser("up", help=f"start hosts; without names: {' '.join(USUAL)}")
    up.add_argument("hosts", nargs="*", metavar="NAME", help="a kind, or NAME=KIND for another name")
    up.add_argument("--on-disk", action="store_true", help="keep changes on this disk, not in memory")
    up.add_argument("--size", default="8g", help="of each disk of a host in memory (default: 8g)")
    up.set_defaults(run=_up)

    shown = commands.add_parser("status", help="what runs")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.set_defaults(run=_status)

    reach = commands.add_parser("ssh", help="run a command in a host, or a shell")
    reach.add_argument("name", metavar="NAME")
    reach.add_argument("command", nargs=argparse.REMAINDER)
    reach.set_defaults(run=_ssh)

    again = commands.add_parser("restart", help="shut a host down and start it, as its provider would")
    again.add_argument("name", metavar="NAME")
    again.set_defaults(run=_restart)

    slowly = commands.add_parser("slow", help="make a host's network slow and lossy, or good again")
    slowly.add_argument("name", metavar="NAME")
    slowly.add_argument("--latency", default="0ms", help="added to the round trip, such as 100ms")
    slowly.add_argument("--loss", default="0%", help="packets lost each way, such as 1%%")
    slowly.add_argument("--off", action="store_true", help="good again")
    slowly.set_defaults(run=_slow)

    fill = commands.add_parser("full", help="fill the disk a path lies on, or make room again")
    fill.add_argument("name", metavar="NAME")
    fill.add_argument("path", metavar="PATH", help="in the host; / is its system disk")
    fill.add_argument(
        "--leave", default="0", metavar="SIZE", help="what stays free, such as 10m (default: 0)"
    )
    fill.add_argument("--off", action="store_true", help="make room again")
    fill.set_defaults(run=_full)

    down = commands.add_parser("down", help="stop hosts and remove what they left; without names: all")
    down.add_argument("hosts", nargs="*", metavar="NAME")
    down.set_defaults(run=_down)
    return parser


def _up(place: Place, given: argparse.Namespace) -> int:
    size = disks.size(given.size)
    started = time.monotonic()
    lab.up(place, [lab.Wish.read(word, given.on_disk, size) for word in given.hosts or USUAL])
    print(f"ready after {time.monotonic() - started:.1f} s")
    print("\n".join(status.lines(status.read(place))))
    return 0


def _status(place: Place, given: argparse.Namespace) -> int:
    told = status.read(place)
    print(json.dumps(told, indent=1) if given.json else "\n".join(status.lines(told)))
    return 0


def _ssh(place: Place, given: argparse.Namespace) -> int:
    command = ssh(place, _running(place, given.name).name, *given.command)
    sys.stdout.flush()
    os.execvp(command[0], command)


def _restart(place: Place, given: argparse.Namespace) -> int:
    with place.locked():
        lab.restart(place, _running(place, given.name))
    return 0


def _slow(place: Place, given: argparse.Namespace) -> int:
    latency, loss = slow.seconds(given.latency), slow.share(given.loss)
    if not (given.off or latency or loss):
        raise LabError("slow takes --latency, --loss or both; or --off")
    with place.locked():
        record = _running(place, given.name)
        if given.off:
            slow.switch_off(place, record)
        else:
            slow.switch_on(place, record, latency, loss)
    return 0


def _full(place: Place, given: argparse.Namespace) -> int:
    leave = disks.size(given.leave)
    with place.locked():
        record = _running(place, given.name)
        if given.off:
            disks.clear(place, record, given.path)
        else:
            disks.fill(place, record, given.path, leave)
    return 0


def _down(place: Place, given: argparse.Namespace) -> int:
    stopped = lab.down(place, given.hosts)
    print(f"gone: {', '.join(stopped) or 'nothing ran'}")
    return 0


def _running(place: Place, name: str) -> Record:
    records = place.records()
    if name not in records:
        raise LabError(f"no host is called '{name}'; there are: {', '.join(records) or 'none'}")
    if not records[name].keeper.alive():
        raise LabError(f"{name} has died; scripts/lab up starts it anew, down removes what it left")
    return records[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
