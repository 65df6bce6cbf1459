"""The subcommand `serve`: its words, and its run from the environments to the table."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.bench import subcommand
from sightline.bench.running import no_more_interruptions
from sightline.bench.samples import Samples, spread
from sightline.bench.serve import subjects
from sightline.bench.serve.measure import Measured, Work, measure, percentile, ratios
from sightline.bench.serve.peers import OURS, PEERS, Peer
from sightline.bench.subcommand import FOLDER, Measurement, alone, say
from sightline.plan.render import table

if TYPE_CHECKING:
    from sightline.bench.subcommand import Commands

MODELS = ("canary", "llava", "mllama")
LEAST = {"transformers serve": 4.0, "vLLM": 1.0}
"""The budgets: requests a second of sightline-serve over theirs, at least."""

_TEACH = """\
What it does: starts sightline-serve, `transformers serve`, vLLM's CPU build and llama.cpp (through
xllamacpp) on loopback, all with the same model in float32 (llama.cpp: float16, as its file is), and asks
them in turn: so many clients, a new picture in every request, streaming. Their environments are built at
the first run (.venv/vllm and .venv/transformers-serve, 4 GB). All servers are ended, also after ctrl-C.

How to read it: the ratios are the result, both sides of each were measured within the same minutes;
seconds depend on the machine. The canary's answers are judged and end by themselves, the random model's
all have the same length. Memory is what a server's processes held at most while they were asked (PSS).
Budgets: at least 4 times `transformers serve`, at least as much as vLLM.

examples:
  scripts/bench serve                                    the canary, all four servers
  scripts/bench serve --model llava --requests 8         300 M random parameters; about ten minutes
  scripts/bench serve --servers sightline-serve,llama.cpp --json > serve.json

exit codes: 0 measured, 1 a budget was missed (only with --check), 2 not measured (the reason is printed),
130 stopped with ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand to scripts/bench."""
    about = "pictures answered a second, beside transformers serve, vLLM and llama.cpp"
    parser = subcommand.parser(commands, "serve", about, _TEACH)
    parser.add_argument("--model", choices=MODELS, default="canary", help="what is served (default: canary)")
    parser.add_argument("--clients", type=_many, default=8, help="requests at once (default: 8)")
    parser.add_argument("--requests", type=_many, default=32, help="of a round (default: 32)")
    parser.add_argument("--tokens", type=_many, default=64, help="of an answer at most (default: 64)")
    parser.add_argument("--servers", type=_servers, default=PEERS, help=f"of {', '.join(_NAMES)}")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    measurement = Measurement("serve", given)
    work = Work(given.clients, given.requests, given.tokens, given.rounds)
    found = _measure(given.model, given.servers, work)
    against = ratios(found)
    facts = {
        "model": given.model,
        "work": vars(work),
        "servers": {one.name: one.to_dict() for one in found},
        "times": {name: ratio.to_dict() for name, ratio in against.items()},
    }
    return measurement.tell(facts, lines(found, against), not missed(against))


def missed(against: dict[str, Samples]) -> list[str]:
    """The servers against which a budget is missed."""
    return [name for name, ratio in against.items() if ratio.median < LEAST.get(name, 0.0)]


def lines(found: list[Measured], against: dict[str, Samples]) -> list[str]:
    """The result as people read it."""
    rows = [("server", "requests/s", "latency p50, p99", "first text p50, p99", "right", "memory", "cold")]
    for one in found:
        rows.append(
            (
                one.name,
                spread(one.per_second, "{:.2f}"),
                _pair(one.whole),
                _pair(one.first),
                f"{one.right}/{len(one.whole)}",
                f"{one.memory / 2**20:.0f} MiB",
                f"{one.cold:.1f} s",
            )
        )
    told = table(rows)
    late = missed(against)
    for name, ratio in against.items():
        budget = ""
        if name in LEAST:
            budget = f"; budget {'MISSED' if name in late else 'kept'}: at least {LEAST[name]:g}"
        told.append(f"{OURS} / {name}: {spread(ratio, '{:.2f}')} times{budget}")
    return told


def _measure(model: str, servers: tuple[Peer, ...], work: Work) -> list[Measured]:
    with ExitStack() as made:
        made.enter_context(alone())
        made.callback(no_more_interruptions)
        scratch = FOLDER / "serve"
        scratch.mkdir(parents=True, exist_ok=True)
        engine = subjects.environment("engine")
        subject = _subject(model, scratch, engine / "bin/python")
        peers = {}
        for peer in servers:
            if not peer.takes(subject):
                say(f"{peer.name} does not take {subject.name}: left out")
                continue
            peers[peer.name] = (peer, subjects.environment(peer.environment))
        return measure(peers, subject, work, scratch, say)


def _subject(model: str, scratch: Path, python: Path) -> subjects.Subject:
    match model:
        case "llava":
            return subjects.llava(scratch, python)
        case "mllama":
            return subjects.mllama(scratch, python)
    return subjects.canary()


def _pair(seconds: tuple[float, ...]) -> str:
    return ", ".join(f"{percentile(seconds, percent):.2f} s" for percent in (50, 99))


_NAMES = tuple(peer.name for peer in PEERS)


def _servers(text: str) -> tuple[Peer, ...]:
    wanted = dict.fromkeys(word.strip() for word in text.split(","))
    for name in wanted:
        if name not in _NAMES:
            raise argparse.ArgumentTypeError(f"'{name}' is no server; there are {', '.join(_NAMES)}")
    return tuple(peer for peer in PEERS if peer.name in wanted)


def _many(text: str) -> int:
    return subcommand.whole(text, 9999, "them")
