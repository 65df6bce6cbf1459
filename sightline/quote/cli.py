"""The command line of scripts/plan."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sightline.catalogue import CatalogueError, load_model
from sightline.catalogue.showing import overview
from sightline.fit import (
    CannotEstimate,
    Cards,
    UnknownCard,
    Workload,
    choose_engine,
    fit_on,
    known_cards,
    parse_cards,
)
from sightline.plan.render import human_bytes
from sightline.quote.hosts import plan_hosts
from sightline.quote.making import ANSWER_TOKENS, Asked, make_quote
from sightline.quote.measured import NoMeasurement
from sightline.quote.page import PageProblem, write_page
from sightline.quote.rates import parse_rate
from sightline.quote.text import cards_text, gpus_text, quote_text
from sightline.quote.timing import DISK_RATE, Rates

FITS, DOES_NOT, CANNOT_TELL = 0, 1, 2
_MOST_PRICE = 1e9
T = TypeVar("T")

DESCRIPTION = """\
Know before you pay: does a model fit a card, how long until it answers, and what will that cost?

Needs no server: everything is worked out from the catalogue, and each figure says how sure it is. With an
inventory its hosts are read (not changed), and the answer is about what is there and what is missing.
"""

EPILOG = """\
examples:
  scripts/plan --model llama-3.2-90b-vision-bnb-4bit --gpu h100-80g --context 8192 --pictures 4 \\
      --line 1gbit --price-per-hour 2.5       fit, minutes and price, on a card that you do not have yet
  scripts/plan --model qwen2.5-vl-7b          without --gpu: which of the known cards it fits
  scripts/plan --model phi-3-vision-128k --gpu 24g      a card of another kind, by its size in GiB
  scripts/plan ... --html plan.html           the same as a page with a picture of the memory
  scripts/plan ... --json | jq .fit           for programs
  scripts/plan -i inventory/mine              its hosts: what is there, what will change and what not
  scripts/plan -i inventory/mine --line 1gbit --price-per-hour 2.5 -e sightline_model=qwen2.5-vl-7b
  scripts/plan --gpus                         the cards that are known by name
  scripts/plan --models                       the models of the catalogue

exit status: 0 it fits (with -i: nothing stands in the way on any host), 1 it does not or may not, 2 cannot be
told (wrong words, unknown model or card, a host that could not be read)
What the terms are and where they come from: docs/plan.md.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one question; returns the exit status."""
    words = _parser().parse_args(arguments)
    try:
        if words.gpus:
            print(gpus_text())
            return FITS
        if words.models:
            print(overview())
            return FITS
        if words.inventory:
            return _hosts(words)
        if not words.model:
            return _wrong(
                "say which model: --model NAME (scripts/plan --models lists them); or which hosts: "
                "-i INVENTORY"
            )
        if misplaced := _misplaced(words, ("extra", "limit")):
            return _wrong(f"{misplaced} is about the hosts of an inventory: -i INVENTORY")
        workload = _workload(words)
        if words.gpu is None:
            if misplaced := _misplaced(words, ("html", "measured")):
                return _wrong(f"{misplaced} is about one card: --gpu CARD (scripts/plan --gpus lists them)")
            return _which_cards(words.model, words.engine, workload, words.json)
        return _quote(words, words.gpu, workload)
    except CannotEstimate as problem:
        least = (
            f"\nIt takes at least {human_bytes(problem.at_least)}: the weights." if problem.at_least else ""
        )
        return _wrong(f"{problem}{least}")
    except (CatalogueError, NoMeasurement, PageProblem) as problem:
        return _wrong(str(problem))


def _quote(words: argparse.Namespace, cards: Cards, workload: Workload) -> int:
    quote = make_quote(
        Asked(
            model=words.model,
            cards=cards,
            workload=workload,
            engine=words.engine,
            release=words.release,
            rates=Rates(words.line, words.disk or DISK_RATE),
            per_hour=words.price_per_hour,
            cpu_per_hour=words.cpu_price_per_hour,
            answer_tokens=words.answer_tokens or ANSWER_TOKENS,
            measured=words.measured,
        )
    )
    if words.html:
        write_page(quote, words.html)
        print(f"written: {words.html}", file=sys.stderr)
    print(json.dumps(quote.to_dict(), indent=2) if words.json else quote_text(quote))
    return FITS if quote.fit.outcome == "fits" else DOES_NOT


def _hosts(words: argparse.Namespace) -> int:
    """Hand the words over to the plan phase as settings; what is about one card has no meaning there."""
    if misplaced := _misplaced(words, ("gpu", "html", "measured", "disk", "picture_size", "answer_tokens")):
        return _wrong(f"{misplaced} is about one card; with -i the hosts' own cards are read")
    if words.pictures == 0:
        return _wrong("--pictures 0 is about one card; what a host serves is planned with 1 picture or more")
    settings = {
        "sightline_model": words.model,
        "sightline_engine": words.engine,
        "sightline_release": words.release,
        "sightline_context": words.context,
        "sightline_slots": words.slots,
        "sightline_pictures": words.pictures,
        "sightline_line": f"{words.line:.0f}B/s" if words.line else None,
        "sightline_price_per_hour": words.price_per_hour,
        "sightline_cpu_price_per_hour": words.cpu_price_per_hour,
    }
    said = {name: value for name, value in settings.items() if value is not None}
    more = ["-e", json.dumps(said)] if said else []
    more += [word for setting in words.extra for word in ("-e", setting)]
    return plan_hosts(words.inventory, more + (["--limit", words.limit] if words.limit else []), words.json)


def _misplaced(words: argparse.Namespace, names: Sequence[str]) -> str | None:
    """Return the first of these words that was said where it means nothing, as it is typed."""
    said = next((name for name in names if getattr(words, name) not in (None, [])), None)
    return f"--{'extra-vars' if said == 'extra' else said.replace('_', '-')}" if said else None


def _workload(words: argparse.Namespace) -> Workload:
    """Return what was asked for; what nobody said is as `Workload` has it, within the model's own context."""
    least = Workload()
    most = load_model(words.model)["architecture"]["text"]["max_context"] or least.context
    width, height = words.picture_size or (least.width, least.height)
    return Workload(
        context=words.context or min(least.context, most),
        slots=words.slots or least.slots,
        pictures=least.pictures if words.pictures is None else words.pictures,
        width=width,
        height=height,
    )


def _which_cards(name: str, engine_name: str | None, workload: Workload, as_json: bool) -> int:
    """Say which known cards one model fits: the question of somebody who has none yet."""
    model = load_model(name)
    engine, _ = choose_engine(model, engine_name)
    fits = [fit_on(model, engine, workload, Cards(card, 1)) for card in known_cards().values()]
    if as_json:
        print(json.dumps({"schema": 1, "model": name, "cards": [fit.to_dict() for fit in fits]}, indent=2))
    else:
        print(f"{model['title']} on one card of each kind:\n\n{cards_text(fits)}")
        trouble = fits[0].context_trouble
        print(f"\n{trouble}" if trouble else "\nFor minutes, price and every term: --gpu CARD")
    return FITS if any(fit.outcome == "fits" for fit in fits) else DOES_NOT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/plan",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is to be served")
    what.add_argument("--model", metavar="NAME", help="a model of the catalogue")
    what.add_argument(
        "--engine", metavar="NAME", help="the engine (default: the first that the catalogue names)"
    )
    what.add_argument(
        "--release", metavar="NAME", help="the release (default: the first that has the engine)"
    )
    what.add_argument("--context", type=_count(1), metavar="N", help="tokens of a conversation, pictures and answer included (default: 4096, or the model's most)")  # fmt: skip # noqa: E501
    what.add_argument("--pictures", type=_count(0), metavar="N", help="pictures in a conversation (default: 1)")  # fmt: skip # noqa: E501
    what.add_argument("--picture-size", type=_said(_size), metavar="WxH", help="their size in pixels (default: 1344x1008)")  # fmt: skip # noqa: E501
    what.add_argument("--slots", type=_count(1), metavar="N", help="conversations at a time (default: 1)")  # fmt: skip # noqa: E501
    what.add_argument("--answer-tokens", type=_count(1), metavar="N", help=f"length of an answer, for times and prices (default: {ANSWER_TOKENS})")  # fmt: skip # noqa: E501
    where = parser.add_argument_group("on what")
    where.add_argument("--gpu", type=_said(parse_cards), metavar="CARD[xN]", help="a card by name (--gpus), or by its size in GiB: 24g; several: h100-80gx2")  # fmt: skip # noqa: E501
    where.add_argument("--line", type=_said(parse_rate), metavar="RATE", help="the line to the mirrors: 1gbit, 300mbit, 40MB/s")  # fmt: skip # noqa: E501
    where.add_argument("--disk", type=_said(parse_rate), metavar="RATE", help="reading from the data disk (default: 1GB/s)")  # fmt: skip # noqa: E501
    where.add_argument(
        "--price-per-hour", type=_said(_price), metavar="P", help="of the machine, in any currency"
    )
    where.add_argument("--cpu-price-per-hour", type=_said(_price), metavar="P", help="of a box without a GPU on the same data disk (default: a tenth)")  # fmt: skip # noqa: E501
    where.add_argument("--measured", type=Path, metavar="REPORT", help="report.json of scripts/prove for this model on such a card: for the price of 1,000 pictures")  # fmt: skip # noqa: E501
    hosts = parser.add_argument_group("on the hosts of an inventory")
    hosts.add_argument("-i", "--inventory", metavar="INVENTORY", help="as scripts/up takes it; its hosts are read, not changed")  # fmt: skip # noqa: E501
    hosts.add_argument("-e", "--extra-vars", dest="extra", action="append", default=[], metavar="NAME=VALUE", help="a setting, as scripts/up takes it")  # fmt: skip # noqa: E501
    hosts.add_argument("--limit", metavar="HOSTS", help="only these hosts of it")
    how = parser.add_argument_group("the answer")
    how.add_argument("--json", action="store_true", help="for programs")
    how.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with a picture of the memory too"
    )
    how.add_argument("--gpus", action="store_true", help="list the cards that are known by name")
    how.add_argument("--models", action="store_true", help="list the models of the catalogue")
    return parser


def _said(read: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show what a reader says of a wrong word."""

    def reader(text: str) -> T:
        try:
            return read(text)
        except (ValueError, UnknownCard, CatalogueError) as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return reader


def _count(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise ValueError(f"{text!r} is no whole number of {least} or more")
        return int(text)

    return _said(read)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{0,4})[x*]([1-9][0-9]{0,4})", text.lower())
    if not found:
        raise ValueError(f"{text!r} is no size of a picture; write 1344x1008")
    return int(found[1]), int(found[2])


def _price(text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = -1
    if not 0 <= price <= _MOST_PRICE:
        raise ValueError(f"{text!r} is no price; write a number, such as 2.5")
    return price


def _wrong(text: str) -> int:
    print(f"scripts/plan: {text}", file=sys.stderr)
    return CANNOT_TELL
