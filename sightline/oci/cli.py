"""The command line of ask-oci."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sightline.oci import MODEL, MOST_ANSWER_TOKENS, MOST_PICTURE_BYTES
from sightline.oci.errors import OciTrouble
from sightline.oci.pictures import data_url, is_latin
from sightline.oci.profile import CONFIG, DEFAULT, read_profile

if TYPE_CHECKING:
    from sightline.oci.access import Access

ANSWERED, REFUSED, WRONG = 0, 1, 2

DESCRIPTION = f"""\
Ask {MODEL} about a picture: Oracle Cloud Infrastructure's managed service,
with Oracle's own SDK, by the API key of ~/.oci/config or as the OCI instance that this runs on.

The picture is a PNG or a JPEG of up to {MOST_PICTURE_BYTES // 10**6} MB and is sent as a data URL.
With a picture the model supports English only; an answer has up to {MOST_ANSWER_TOKENS} tokens.
"""

EPILOG = """\
examples:
  scripts/ask-oci receipt.jpg 'What is the total charge?'
  scripts/ask-oci dog.png 'Which breed?' --profile CHICAGO --compartment ocid1.compartment.oc1..aaaa...
  scripts/ask-oci chart.png 'Make it an HTML table.' --instance-principal     on an OCI instance, no key
  scripts/ask-oci chart.png 'What is shown?' --json | jq -r .chat_response.choices[0].finish_reason
  scripts/ask-oci --check                     does the region offer the model, and until when?

exit status: 0 answered (--check: it can be used), 1 the service refused, failed or does not offer the model,
2 wrong words, configuration or files
Key, policy and what it costs: docs/oci.md.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ask-oci; returns the exit status."""
    parser = _parser()
    words = parser.parse_args(argv)
    if words.check and words.picture:
        parser.error("--check asks nothing about a picture: leave PICTURE and QUESTION out")
    if not words.check and not (words.picture and words.question and words.question.strip()):
        parser.error("say which PICTURE, and the QUESTION about it")
    if words.instance_principal and (words.profile or words.config):
        parser.error("--instance-principal needs no ~/.oci/config: leave --profile and --config out")
    if words.compartment and not re.fullmatch(r"ocid1\.(compartment|tenancy)\.[\w.-]+", words.compartment):
        parser.error(f"--compartment {words.compartment!r} is no OCID (ocid1.compartment.oc1..aaaa...)")
    try:
        return _check(words) if words.check else _ask(words)
    except OciTrouble as trouble:
        print(f"ask-oci: {trouble.what}\n         {trouble.remedy}", file=sys.stderr)
        return WRONG if trouble.ours else REFUSED
    except KeyboardInterrupt:
        print("\nask-oci: stopped", file=sys.stderr)
        return WRONG


def _ask(words: argparse.Namespace) -> int:
    picture = data_url(words.picture)
    access = _access(words)
    if not is_latin(words.question):
        _warn("with a picture the model supports English only; asking all the same")
    from sightline.oci.asking import Question, ask, ask_streamed

    question = Question(
        picture, words.question, words.model, words.system, words.max_tokens, words.temperature
    )
    if words.json:
        print(json.dumps(ask(access, question, _warn, words.tries), indent=2, ensure_ascii=False))
        return ANSWERED
    for piece in ask_streamed(access, question, _warn, words.tries):
        print(piece, end="", flush=True)
    print()
    return ANSWERED


def _warn(text: str) -> None:
    print(f"ask-oci: {text}", file=sys.stderr)


def _check(words: argparse.Namespace) -> int:
    access = _access(words)
    from sightline.oci.listing import look

    offer = look(access, words.model, words.tries)
    if words.json:
        print(json.dumps(offer.to_dict(), indent=2))
    elif offer.problem:
        print(f"ask-oci: {offer.problem}\n         {offer.remedy}", file=sys.stderr)
    else:
        until = f"until {offer.retires.date()}" if offer.retires else "and tells no date of retirement"
        print(f"{offer.region} offers {offer.model}, {until}")
    return REFUSED if offer.problem else ANSWERED


def _access(words: argparse.Namespace) -> Access:
    """The way in that the words name. The SDK takes a second to load: the profile is checked before."""
    if not words.instance_principal:
        profile = read_profile(words.config or CONFIG, words.profile or DEFAULT, words.region)
        from sightline.oci.access import by_api_key

        return by_api_key(profile, words.compartment, words.endpoint)
    from sightline.oci.access import by_instance

    return by_instance(words.compartment, words.region, words.endpoint, words.federation_endpoint)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"ask-oci: {message}\n         scripts/ask-oci --help explains the words\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scripts/ask-oci",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("picture", metavar="PICTURE", type=Path, nargs="?", help="a PNG or JPEG file")
    parser.add_argument("question", metavar="QUESTION", nargs="?", help="about it, in English")
    parser.add_argument("--check", action="store_true", help="only say whether the region offers the model")
    who = parser.add_argument_group("who asks")
    who.add_argument("--config", metavar="FILE", type=Path, help=f"(default: {CONFIG})")
    who.add_argument("--profile", metavar="NAME", help=f"of that file (default: {DEFAULT})")
    who.add_argument(
        "--instance-principal", action="store_true", help="as the OCI instance that this runs on"
    )
    who.add_argument(
        "--compartment", metavar="OCID", default="", help="(default: the tenancy's root compartment)"
    )
    where = parser.add_argument_group("where")
    where.add_argument(
        "--region", metavar="NAME", default="", help="(default: the profile's or the instance's)"
    )
    where.add_argument("--endpoint", metavar="URL", default="", help="in place of the region's own address: a private one")  # fmt: skip # noqa: E501
    where.add_argument("--federation-endpoint", metavar="URL", default="", help="where an instance gets its token")  # fmt: skip # noqa: E501
    what = parser.add_argument_group("what")
    what.add_argument("--model", metavar="NAME", default=MODEL, help="(default: %(default)s)")
    what.add_argument("--system", metavar="TEXT", default="", help="what the model is told first")
    what.add_argument("--max-tokens", metavar="N", type=_between(1, MOST_ANSWER_TOKENS), default=1000, help=f"of the answer, up to {MOST_ANSWER_TOKENS} (default: %(default)s)")  # fmt: skip # noqa: E501
    what.add_argument("--temperature", metavar="T", type=float, help="(default: the service's)")
    what.add_argument("--tries", metavar="N", type=_between(1, 20), default=4, help="where the service is too busy (default: %(default)s)")  # fmt: skip # noqa: E501
    what.add_argument(
        "--json", action="store_true", help="the answer's fields as the SDK names them, at once"
    )
    return parser


def _between(low: int, high: int) -> Any:
    def whole(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return whole
