"""The command line of prove."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from sightline.accept.address import read_address
from sightline.deployment import Connection, DeploymentError, find, load

from .beside import beside, read_targets
from .cases import DEFAULT_QUESTIONS, FEWEST_QUESTIONS
from .errors import CouldNotTell
from .host import CHECKOUT
from .progress import Progress
from .repeat import repeat
from .report_json import Report, as_data
from .run import Limits, Target, examine
from .sight import Settings
from .store import folder_for, write
from .summary import summary
from .tunnel import is_needed
from .verdict import DEFAULT_LATENCY_LIMIT

QUICK = 20
MOST_QUESTIONS = 1000
OWN_URL = "http://127.0.0.1:8642/v1"
"""Where scripts/up has the endpoint listen on its own machine."""

DESCRIPTION = """\
Find out whether a vision-language endpoint really looks at the pictures it is sent.

Pictures with random content are drawn, sent with questions only sight can answer, and the answers are
judged. Then
the picture is changed, swapped or taken away under the same question, and the answer must change with it.
For a deployed host its state is checked too (service, port, environment, file modes).
"""

EPILOG = """\
examples:
  scripts/prove                                  the endpoint that scripts/up deployed, and its host
  scripts/prove --host gpu1                      one host of several
  scripts/prove --url http://gpu1:8642/v1 --model llava --key-file key.txt
                                                 any OpenAI-compatible endpoint
  scripts/prove --via root@203.0.113.7 -p 41022 --key-file key.txt
                                                 on a box that shows only its ssh port
  scripts/prove --host gpu1 --beside gpu2 --beside http://gpu3:8000/v1,llava,key.txt
                                                 the same questions to all three, in one report
  scripts/prove --json | jq .verdict             for programs

exit status: 0 proven, 1 not proven, 2 could not tell (unreachable, key refused, wrong arguments)
The report (report.html for people, report.json for programs) is written to .sightline/reports/<name>/<time>/.
"""


def main(argv: list[str] | None = None) -> int:
    """Run prove; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        _check_way(args)
        settings = _settings(args)
        target = _target(args)
        if args.beside:
            targets = [target, *read_targets(args.beside, lambda word: _deployed(args, word), args.ca_file)]
            return beside(targets, settings, _limits(args), args.json, args.quiet, args.out)
        if args.repeat > 1:
            return repeat(target, settings, _limits(args), args.repeat, args.json, args.quiet)
        progress = Progress(settings.requests, args.quiet)
        progress.say(f"asking {target.base_url} about pictures (seed {settings.seed})")
        report = examine(target, settings, _limits(args), progress)
        page = write(
            report, args.out or folder_for(CHECKOUT, target.name, _now()), link_latest=args.out is None
        )
    except (CouldNotTell, DeploymentError) as obstacle:
        print(f"prove: could not tell: {obstacle}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nprove: stopped", file=sys.stderr)
        return 2
    _show(report, page, args.json, args.quiet)
    return report.verdict.exit_code


def _show(report: Report, page: Path, as_json: bool, quiet: bool) -> None:
    if as_json:
        print(json.dumps({**as_data(report), "report_html": str(page)}, indent=2))
    else:
        print(report.verdict.sentence if quiet else summary(report, page))


def _settings(args: argparse.Namespace) -> Settings:
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(10**9)
    questions = args.questions or (QUICK if args.quick else DEFAULT_QUESTIONS)
    return Settings(seed, questions, args.max_latency, args.guessing_allowed)


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(args.timeout or 2 * args.max_latency, args.max_tokens)


def _target(args: argparse.Namespace) -> Target:
    if args.via:
        return _through(args)
    if args.url:
        return Target.at(args.url, args.model, args.key_file, args.ca_file)
    return _recorded(args, args.deployment or find(CHECKOUT, args.host), args.model, args.key_file)


def _deployed(args: argparse.Namespace, word: str) -> Target:
    """A deployed host by its name, or by its record's path."""
    return _recorded(args, Path(word) if word.endswith(".json") else find(CHECKOUT, word), None, None)


def _recorded(args: argparse.Namespace, record: Path, model: str | None, key_file: Path | None) -> Target:
    deployment = load(record)
    return Target(
        name=deployment.host,
        base_url=deployment.base_url,
        model=model or deployment.model,
        key_file=key_file or Path(deployment.api_key_file),
        record=None if args.sight_only else record,
        engine=deployment.engine,
        connection=deployment.connection,
        release=f"{deployment.release.name} {deployment.release.id}",
        ca_file=args.ca_file or (Path(deployment.ca_file) if deployment.ca_file else None),
    )


def _check_way(args: argparse.Namespace) -> None:
    if args.beside and args.repeat > 1:
        raise CouldNotTell("arguments", "--beside asks each endpoint once", "leave --repeat out")
    given = [word for word, value in (("-p", args.port), ("-i", args.ssh_key)) if value]
    if given and not args.via:
        raise CouldNotTell("arguments", f"{given[0]} is for --via", "name the box with --via USER@HOST")
    if args.via and (args.host or args.deployment):
        raise CouldNotTell(
            "arguments", "a deployment knows its own way", "give --via without --host, or --host alone"
        )
    if args.ssh_key and not args.ssh_key.is_file():
        raise CouldNotTell("arguments", f"there is no key {args.ssh_key}", "name the private key with -i")


def _through(args: argparse.Namespace) -> Target:
    """An endpoint that listens on the loopback of a box, to which only ssh leads."""
    url = args.url or OWN_URL
    try:
        way = read_address(args.via, args.port)
    except ValueError as problem:
        raise CouldNotTell("arguments", str(problem), "scripts/prove --help has examples") from None
    connection = Connection(
        type="ssh",
        host=way.host,
        port=way.port or 0,
        user=way.user,
        private_key_file=str(args.ssh_key) if args.ssh_key else None,
    )
    if not url.startswith("http://") or not is_needed(connection, url):
        raise CouldNotTell(
            "url",
            f"{url} is not on the box's own loopback",
            f"with --via the address is the box's own, like {OWN_URL}",
        )
    return Target(str(way), url, args.model, args.key_file, connection=connection)


def _now() -> datetime:
    return datetime.now(UTC)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"prove: {message}\n       scripts/prove --help explains the options\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scripts/prove",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    where = parser.add_argument_group("what to examine")
    one = where.add_mutually_exclusive_group()
    one.add_argument("--host", metavar="NAME", help="a deployed host; needed only where there are several")
    one.add_argument("--deployment", metavar="FILE", type=Path, help="a deployment record by its path")
    one.add_argument("--url", help="the address of any OpenAI-compatible endpoint, like http://gpu1:8642/v1")
    where.add_argument("--model", help="the model's name; not needed where the endpoint lists exactly one")
    where.add_argument(
        "--key-file", metavar="FILE", type=Path, help="a file that holds the API key and nothing else"
    )
    where.add_argument(
        "--beside",
        metavar="WHAT",
        action="append",
        default=[],
        help="another endpoint for the same questions; may be repeated: a host, a record, URL,MODEL,KEYFILE",
    )
    where.add_argument(
        "--ca-file",
        metavar="FILE",
        type=Path,
        help="the authority (PEM) that certifies it, if no public one does",
    )
    where.add_argument("--sight-only", action="store_true", help="leave the host of a deployment unchecked")
    way = parser.add_argument_group("a box that shows only its ssh port")
    way.add_argument(
        "--via",
        metavar="USER@HOST",
        help=f"ask through ssh; --url is then the box's own address (default {OWN_URL})",
    )
    way.add_argument("-p", "--port", metavar="PORT", type=int, help="the ssh port (default: ssh's own)")
    way.add_argument(
        "-i", "--ssh-key", metavar="FILE", type=Path, help="a private key (default: agent, ~/.ssh)"
    )
    how = parser.add_argument_group("how to ask")
    how.add_argument(
        "--questions",
        metavar="N",
        type=_between(FEWEST_QUESTIONS, MOST_QUESTIONS),
        help=f"how many questions (default {DEFAULT_QUESTIONS}, at least {FEWEST_QUESTIONS})",
    )
    how.add_argument("--quick", action="store_true", help=f"only {QUICK} questions; the controls stay")
    how.add_argument(
        "--seed", metavar="N", type=_between(0, 2**63), help="repeat a run with the pictures it had"
    )
    how.add_argument(
        "--max-latency",
        metavar="SECONDS",
        type=_seconds,
        default=DEFAULT_LATENCY_LIMIT,
        help="95 in 100 answers must come within this (default %(default)g)",
    )
    how.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="give up on an answer (default 2 x max latency)"
    )
    how.add_argument(
        "--max-tokens",
        metavar="N",
        type=_between(1, 32768),
        default=64,
        help="length of an answer (default %(default)s)",
    )
    how.add_argument(
        "--guessing-allowed",
        action="store_true",
        help="for models known to make something up when no picture comes: that is then no failure",
    )
    out = parser.add_argument_group("what to write")
    out.add_argument("--json", action="store_true", help="print the whole report as JSON")
    out.add_argument("--out", metavar="DIR", type=Path, help="write the report there (no `latest` link)")
    out.add_argument("--quiet", action="store_true", help="no progress, one sentence at the end")
    out.add_argument(
        "--repeat",
        metavar="N",
        type=_between(1, 10_000),
        default=1,
        help="run the sight check N times, each with new pictures, and count the verdicts",
    )
    return parser


def _between(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not between {low} and {high}")
        return value

    return whole


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return value
