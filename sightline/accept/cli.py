"""The command line of accept."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from sightline.accept.address import Way, read_address
from sightline.accept.errors import NoAnswer
from sightline.accept.examine import RULES, Wishes, examine
from sightline.accept.findings import EXIT_CODES, judge, verdict
from sightline.accept.needs import Needs, needs
from sightline.accept.render import as_data, as_text
from sightline.accept.way import connect
from sightline.catalogue import CatalogueError

MOST_ADDRESSES = 3

DESCRIPTION = """\
Is this rented box worth its money? Look at it for at most two minutes, over ssh, and say accept or return.

The box needs nothing but sshd and a POSIX shell. At most 2 GiB go through its disk and its line, and nothing
is left there, also when this is stopped or the connection is lost.
"""

EPILOG = """\
examples:
  scripts/accept root@203.0.113.7 -p 41022                       for the canary
  scripts/accept root@203.0.113.7 -p 41022 --model llama-3.2-90b-vision-bnb-4bit
  scripts/accept mybox --line-url https://mirror.example/a-large-file      a name from ~/.ssh/config
  scripts/accept root@203.0.113.7 --accept-new --ask-password    a new box, with a password
  scripts/accept mybox --json | jq -r .verdict                   for programs

exit status: 0 accept, 1 return, 2 could not tell (no way in, a fact that is missing, wrong arguments)
What is looked at, and where the thresholds come from: docs/accept.md.
"""


def main(argv: Sequence[str] | None = None, now: Callable[[], float] = time.time) -> int:
    """Run accept; returns the exit status. `now` is our own clock."""
    parser = _parser()
    args = parser.parse_args(argv)
    if len(args.line_url) > MOST_ADDRESSES:
        parser.error(f"--line-url can be given up to {MOST_ADDRESSES} times")
    say = _quiet if args.quiet else _say
    started = time.monotonic()
    try:
        wanted = _needs(args)
        way = _way(args)
        secret = _secret(way) if args.ask_password else None
        say(f"connecting to {way}")
        connection = connect(way, secret)
        try:
            wishes = Wishes(args.disk, tuple(args.line_url), not args.no_disk_test)
            examined = examine(connection, wishes, say, now)
        finally:
            connection.close()
    except NoAnswer as obstacle:
        print(f"accept: could not tell: {obstacle}", file=sys.stderr)
        return 2
    except CatalogueError as error:
        print(f"accept: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\naccept: stopped; the box cleans up after itself", file=sys.stderr)
        return 2
    findings = judge(examined, wanted, RULES)
    seconds = time.monotonic() - started
    if args.json:
        print(json.dumps(as_data(str(way), examined, wanted, findings, seconds), indent=2))
    else:
        print(as_text(str(way), examined, wanted, findings, seconds))
    return EXIT_CODES[verdict(findings)]


def _needs(args: argparse.Namespace) -> Needs:
    try:
        work = {name: getattr(args, name) for name in ("context", "slots", "pictures")}
        return needs(args.model, args.release, {name: count for name, count in work.items() if count})
    except ValueError as problem:
        raise NoAnswer(str(problem), "scripts/catalogue show lists models and releases") from None


def _way(args: argparse.Namespace) -> Way:
    try:
        way = read_address(args.box, args.port)
    except ValueError as problem:
        raise NoAnswer(str(problem), "scripts/accept --help has examples") from None
    options = tuple(args.option)
    return replace(way, key=args.key, config=args.ssh_config, accept_new=args.accept_new, options=options)


def _secret(way: Way) -> str:
    try:
        return getpass.getpass(f"password for {way} (or passphrase of the key): ")
    except EOFError:
        raise NoAnswer("no password came", "run it in a terminal, or use a key") from None


def _say(text: str) -> None:
    print(f"accept: {text}", file=sys.stderr, flush=True)


def _quiet(text: str) -> None:
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"accept: {message}\n        scripts/accept --help explains the options\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scripts/accept",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "box", metavar="USER@HOST", help="the box, or its name in ~/.ssh/config (jump hosts work)"
    )
    way = parser.add_argument_group("the way to it")
    way.add_argument("-p", "--port", type=int, help="the ssh port that the house mapped (default 22)")
    way.add_argument("-i", "--key", metavar="FILE", type=Path, help="a private key (default: agent, ~/.ssh)")
    way.add_argument(
        "-o",
        "--option",
        metavar="KEY=VALUE",
        type=_option,
        action="append",
        default=[],
        help="a line of ssh's configuration that outranks it, as for ssh (UserKnownHostsFile, ProxyJump ...)",
    )
    way.add_argument("-F", "--ssh-config", metavar="FILE", type=Path, help="instead of ~/.ssh/config")
    way.add_argument(
        "--accept-new",
        action="store_true",
        help="keep the host key of a box that is not known yet (as ssh does)",
    )
    way.add_argument(
        "--ask-password", action="store_true", help="ask for a password, or for the passphrase of the key"
    )
    what = parser.add_argument_group("what for")
    what.add_argument("--model", default="canary", help="a model of the catalogue (default %(default)s)")
    what.add_argument("--release", help="a release that serves it (default: the first in the catalogue)")
    for name, about in (
        ("context", "tokens of one conversation (default 4096)"),
        ("slots", "conversations at once (default 1)"),
        ("pictures", "pictures in each (default 1)"),
    ):
        what.add_argument(f"--{name}", metavar="N", type=_count, help=about)
    how = parser.add_argument_group("what to measure")
    how.add_argument(
        "--disk", metavar="FOLDER", type=_absolute, help="where the data would go (default: chosen)"
    )
    how.add_argument("--no-disk-test", action="store_true", help="do not write to its disk")
    how.add_argument(
        "--line-url",
        metavar="URL",
        type=_address,
        action="append",
        default=[],
        help=f"a large file on your mirror, up to {MOST_ADDRESSES} times; without it no line is measured",
    )
    out = parser.add_argument_group("what to print")
    out.add_argument("--json", action="store_true", help="the whole report as JSON")
    out.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _option(text: str) -> tuple[str, str]:
    keyword, sign, value = text.partition("=")
    if not sign or not keyword.strip().isalnum() or not value.strip() or "\n" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no option; write KEY=VALUE")
    return keyword.strip(), value.strip()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**7:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _absolute(text: str) -> str:
    if not text.startswith("/") or "\n" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no absolute path on the box")
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or any(letter.isspace() for letter in text)
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write https://host/path")
    if parts.username or parts.password:
        raise argparse.ArgumentTypeError(
            "an address with a password in it would be seen on the box; leave it out"
        )
    return text
