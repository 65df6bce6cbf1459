"""What would fit where something does not: another setting, other cards, another model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sightline.catalogue.entries import load_model, names
from sightline.fit.engines import Engine, choose_engine
from sightline.fit.errors import CannotEstimate
from sightline.fit.gpus import Cards, known_cards
from sightline.fit.terms import Workload, counted
from sightline.fit.verdict import Fit, fit_on

Kind = Literal["slots", "pictures", "context", "quantisation", "cards", "card", "model"]

_STEP = 256
"""Contexts are proposed in multiples of so many tokens."""
_MOST_CARDS = 8
_CARDS_NAMED = 4


@dataclass(frozen=True, slots=True)
class Option:
    """Something that would fit: what to change, the words of scripts/plan that ask for it, bytes per card.

    `caveat` is what stands in the way of it beside the memory; "" where nothing is known to.
    """

    kind: Kind
    says: str
    words: tuple[str, ...]
    needed_bytes: int
    room_bytes: int
    caveat: str

    def to_dict(self) -> dict[str, Any]:
        """Return the option as plain JSON values."""
        return asdict(self) | {"words": list(self.words)}


def options(model: Mapping[str, Any], fit: Fit) -> list[Option]:
    """Return what would fit instead of `fit`, nearest to what was asked first; each was estimated anew."""
    found = [
        *_smaller(model, fit),
        *_quantised(model, fit),
        *_more_cards(model, fit),
        *_other_card(model, fit),
        *_possible_context(model, fit),
        *_other_models(model, fit),
    ]
    return found


def _possible_context(model: Mapping[str, Any], fit: Fit) -> Iterator[Option]:
    """The context that the pictures need, or the longest there is; where memory lacks too, with a remedy."""
    if not fit.context_trouble:
        return
    most, needed = fit.estimate.max_context, -(-fit.estimate.context_needed // _STEP) * _STEP
    asked = replace(fit.estimate.workload, context=min(most, max(needed, fit.estimate.workload.context)))
    possible = fit_on(model, fit.estimate.engine, asked, fit.cards)
    words, says = ("--context", str(asked.context)), f"a context of {asked.context} tokens"
    if possible.outcome == "fits":
        yield _option("context", says, words, possible)
        return
    for option in (*_smaller(model, possible), *_more_cards(model, possible), *_other_card(model, possible)):
        if option.kind in ("slots", "cards", "card"):
            also = (*option.words, *words) if option.words else ()
            yield replace(option, words=also, says=f"{option.says}, {says}")


def _smaller(model: Mapping[str, Any], fit: Fit) -> Iterator[Option]:
    """Fewer slots; else, with one, fewer pictures; else a context as long as fits. Each alone first."""
    asked = fit.estimate.workload

    def with_(**changed: int) -> Fit:
        return fit_on(model, fit.estimate.engine, replace(asked, **changed), fit.cards)

    slots = _largest(1, asked.slots - 1, lambda count: with_(slots=count), _fits)
    if slots:
        yield _option(
            "slots", f"{counted(slots[0], 'conversation')} at a time", ["--slots", slots[0]], slots[1]
        )
    one = {"slots": 1} if asked.slots > 1 and not slots else {}
    also = ", one conversation at a time" if one else ""
    words: list[object] = ["--slots", 1] if one else []
    pictures = _largest(1, asked.pictures - 1, lambda count: with_(pictures=count, **one), _fits)
    if pictures:
        says = f"{counted(pictures[0], 'picture')} in a conversation{also}"
        yield _option("pictures", says, ["--pictures", pictures[0], *words], pictures[1])
    longest = min(asked.context - 1, fit.estimate.max_context) // _STEP
    context = _largest(1, longest, lambda steps: with_(context=steps * _STEP, **one), _has_room)
    if context:
        tokens = context[0] * _STEP
        yield _option(
            "context", f"a context of {tokens} tokens{also}", ["--context", tokens, *words], context[1]
        )


def _quantised(model: Mapping[str, Any], fit: Fit) -> Iterator[Option]:
    """The same weights in 4 bits, where they are stored in 16: nf4 with double quantisation."""
    if model["quantisation"]["method"] != "none" or not model["parameters"]["total"]:
        return
    four = {"method": "bitsandbytes-nf4", "double": True, "bits_per_weight": 4.127}
    smaller = dict(model) | {
        "files": [file for file in model["files"] if file["role"] not in ("weights", "projector")],
        "quantisation": model["quantisation"] | four,
    }
    found = fit_on(smaller, fit.estimate.engine, fit.estimate.workload, fit.cards)
    if found.outcome == "fits":
        yield _option(
            "quantisation",
            "its weights in 4 bits (nf4, double quantisation)",
            [],
            found,
            "the catalogue has no such checkpoint of it",
        )


def _more_cards(model: Mapping[str, Any], fit: Fit) -> Iterator[Option]:
    """The fewest cards of the same kind that hold it, in an engine that spreads a model over them."""
    spreading = _spreading(model, fit.estimate.engine)
    engine = spreading or replace(fit.estimate.engine, spread="layers")
    caveat = "" if spreading else f"{engine.name} computes on one card, and nothing else here serves it"
    for count in range(max(2, fit.used + 1), _MOST_CARDS + 1):
        cards = Cards(fit.cards.card, count)
        found = fit_on(model, engine, fit.estimate.workload, cards)
        if found.outcome == "fits" and found.used == count:
            words = ["--gpu", f"{cards.card.name}x{count}"] if cards.card.name else []
            if spreading and engine != fit.estimate.engine:
                yield _option(
                    "cards", f"{cards}, served by {engine.name}", [*words, "--engine", engine.name], found
                )
            else:
                yield _option("cards", str(cards), [] if caveat else words, found, caveat)
            return


def _spreading(model: Mapping[str, Any], engine: Engine) -> Engine | None:
    """The engine itself, or another that serves the model, if it uses several cards."""
    if engine.several_gpus:
        return engine
    for serving in model["engines"]["can_serve"]:
        other, _ = choose_engine(model, serving["engine"])
        if other.several_gpus:
            return other
    return None


def _other_card(model: Mapping[str, Any], fit: Fit) -> Iterator[Option]:
    """The smallest known cards of which one is enough, the fastest of each size."""
    fitting: dict[int, Fit] = {}
    for card in sorted(known_cards().values(), key=lambda card: (card.memory_bytes, -(card.bandwidth or 0))):
        found = fit_on(model, fit.estimate.engine, fit.estimate.workload, Cards(card, 1))
        if found.outcome == "fits" and card.memory_bytes > fit.cards.card.memory_bytes:
            fitting.setdefault(card.memory_bytes, found)
    for found in list(fitting.values())[:_CARDS_NAMED]:
        card = found.cards.card
        yield _option("card", f"one {card.title}", ["--gpu", card.name], found)


def _other_models(model: Mapping[str, Any], fit: Fit) -> Iterator[Option]:
    """The catalogue's other models for the same work, the largest first; not the canary, which is a test."""
    found = []
    for name in names("model"):
        other = load_model(name)
        if name == model["name"] or other["source"]["kind"] == "repository":
            continue
        try:
            engine = _same_or_first(other, fit.estimate.engine)
            most = other["architecture"]["text"]["max_context"]
            asked = replace(fit.estimate.workload, context=min(fit.estimate.workload.context, most))
            tried = fit_on(other, engine, asked, fit.cards)
        except CannotEstimate:
            continue
        if tried.outcome == "fits":
            words = ["--model", name]
            # The question's own words stay beside these, where it had any.
            if engine.name != fit.estimate.engine.name or engine != choose_engine(other)[0]:
                words += ["--engine", engine.name]
            if asked.context < fit.estimate.workload.context or fit.estimate.max_context < Workload().context:
                words += ["--context", str(asked.context)]
            at = f" (context {most})" if most < fit.estimate.workload.context else ""
            found.append(_option("model", f"{other['title']}{at}", words, tried))
    yield from sorted(found, key=lambda option: -option.needed_bytes)


def _same_or_first(model: Mapping[str, Any], engine: Engine) -> Engine:
    """The engine that was asked about, if it serves this model too; else the first that does."""
    try:
        return choose_engine(model, engine.name)[0]
    except CannotEstimate:
        return choose_engine(model)[0]


def _largest(
    least: int, most: int, tried: Callable[[int], Fit], ok: Callable[[Fit], bool]
) -> tuple[int, Fit] | None:
    """Return the largest number that fits, with its fit; None where none does.

    `ok` is what halves the bounds: true up to some number and false beyond. More never takes less memory, and
    more pictures never less context; but a context may be too short for its pictures, so for it only memory.
    """
    best = None
    while least <= most:
        middle = (least + most) // 2
        fit = tried(middle)
        if ok(fit):
            best, least = (middle, fit), middle + 1
        else:
            most = middle - 1
    return best if best and best[1].outcome == "fits" else None


def _fits(fit: Fit) -> bool:
    return fit.outcome == "fits"


def _has_room(fit: Fit) -> bool:
    return fit.needed <= fit.room


def _option(kind: Kind, says: str, words: Sequence[object], fit: Fit, caveat: str = "") -> Option:
    return Option(kind, says, tuple(str(word) for word in words), fit.needed, fit.room, caveat)
