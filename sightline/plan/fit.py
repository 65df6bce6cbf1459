"""Whether the model fits the GPUs that the host shows, and what would fit there instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sightline.fit import (
    ENGINES,
    CannotEstimate,
    Cards,
    Engine,
    Fit,
    Option,
    Workload,
    cards_of_host,
    fit_on,
    options,
)
from sightline.fit.terms import counted
from sightline.plan.gpu_side import gpu_side
from sightline.plan.outcome import Objection, Share
from sightline.plan.reading import Unreadable, read_or_none
from sightline.plan.render import human_bytes
from sightline.plan.situation import Situation, computes_on

_SETTINGS = {"slots": "sightline_slots", "pictures": "sightline_pictures", "context": "sightline_context"}


def model_fits_gpu(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """What is certain of the memory that the server takes fits a card; what is estimated is only noted."""
    if "service" not in changing:
        return
    try:
        fit = host_fit(there)
    except CannotEstimate as problem:
        yield from _bounded(there, problem)
        return
    if fit is None or fit.outcome != "does not fit":
        return
    name = there.model["name"]
    if fit.context_trouble:
        what, why = fit.context_trouble, f"that is what {asked_for(there)} asks for"
    else:
        each = "the fullest GPU" if fit.used > 1 else "a GPU"
        what = f"{name} needs {human_bytes(fit.needed)}; {each} has {human_bytes(fit.room)} for it"
        parts = [term for term in fit.estimate.terms if term.basis != "estimate"]
        why = " + ".join(f"{term.name} {human_bytes(term.bytes)}" for term in parts)
        why += f" for {asked_for(there)}, and what computing takes"
    yield Objection(what, why, _remedy(options(there.model, fit)))


def host_fit(there: Situation) -> Fit | None:
    """Return the model against the GPUs of the host; None where it computes on the CPU or shows no GPU.

    Raises:
        CannotEstimate: the memory cannot be said.
        Unreadable: a GPU's memory could not be read.
    """
    engine = _engine(there)
    if computes_on(there) != "cuda" or engine is None:
        return None
    listed = gpu_side(there).listed
    for position, gpu in enumerate(listed):
        size = gpu.get("memory_bytes") if isinstance(gpu, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
            raise Unreadable(f"gpus[{position}].memory_bytes", size)
    cards = cards_of_host(listed)
    if not cards:
        return None
    return _over_nodes(there, fit_on(there.model, engine, workload(there), cards))


def _over_nodes(there: Situation, alone: Fit) -> Fit:
    """The same with the cards of all hosts that hold the model together; each has what this one has."""
    count = read_or_none(there.settings, "nodes.count", int) or 1
    if count == 1:
        return alone
    cards = Cards(alone.cards.card, alone.cards.count * count)
    together = fit_on(there.model, alone.estimate.engine, workload(there), cards)
    by_layers = read_or_none(there.settings, "nodes.split", str) == "pipeline"
    used = alone.used * count if by_layers else together.used // count * count
    return replace(together, used=max(used, count))


def fit_or_none(there: Situation) -> Fit | None:
    """Return the fit as `host_fit` does; None too where it cannot be said."""
    try:
        return host_fit(there)
    except (CannotEstimate, Unreadable):
        return None


def workload(there: Situation) -> Workload:
    """Return what the plan counts with: the settings, and the least that is of use where they say nothing.

    A context that says nothing is counted as 4096 tokens, or as long as the model was made for.
    """
    least = Workload()
    most = there.model["architecture"]["text"]["max_context"] or least.context
    return Workload(
        context=_setting(there, "context") or min(least.context, most),
        slots=_setting(there, "slots") or least.slots,
        pictures=_setting(there, "pictures") or least.pictures,
    )


def asked_for(there: Situation) -> str:
    """Return the workload in words."""
    work = workload(there)
    pictures = counted(work.pictures, "picture")
    return f"{counted(work.slots, 'conversation')} of {work.context} tokens with {pictures} each"


def gpu_shares(there: Situation) -> tuple[tuple[Share, ...], int | None]:
    """Return the parts of the GPU memory that the server takes and what a card has; nothing where none."""
    fit = fit_or_none(there)
    if fit is None:
        return (), None
    return tuple(Share(term.name, term.bytes) for term in fit.estimate.terms), fit.room


def fit_notes(there: Situation) -> list[str]:
    """Say where only estimates decide, and where little is left."""
    fit = fit_or_none(there)
    if fit is None:
        return []
    if fit.outcome == "uncertain":
        return [
            f"it may not fit the GPU: {human_bytes(fit.certain)} are certain and {human_bytes(fit.needed)} "
            f"estimated from above, {human_bytes(fit.room)} are there; docs/plan.md"
        ]
    return ["the GPU will be nearly full, and some of the memory is an estimate"] if fit.tight else []


def fit_dict(there: Situation) -> dict[str, Any] | None:
    """Return the fit and what would fit instead as plain JSON values; None where there is none."""
    fit = fit_or_none(there)
    if fit is None:
        return None
    instead = [] if fit.outcome == "fits" else options(there.model, fit)
    return fit.to_dict() | {
        "asked": asked_for(there),
        "memory": fit.estimate.to_dict(),
        "options": [option.to_dict() for option in instead],
    }


def _bounded(there: Situation, problem: CannotEstimate) -> Iterator[Objection]:
    """Nobody can say how much it takes: refuse where the weights alone are too much."""
    sizes = [gpu.get("memory_bytes") or 0 for gpu in gpu_side(there).listed]
    if problem.at_least and problem.at_least > sum(sizes):
        yield Objection(
            f"the weights of {there.model['name']} are {human_bytes(problem.at_least)}; all GPUs have "
            f"{human_bytes(sum(sizes))}",
            "the weights alone do not fit",
            "use larger or more GPUs, or a smaller or more quantised model",
        )


def _engine(there: Situation) -> Engine | None:
    serving = there.serving
    if serving is None:
        return None
    wanted = (serving["engine"], serving.get("loader", ""))
    return next((engine for engine in ENGINES if (engine.name, engine.loader) == wanted), None)


def _setting(there: Situation, name: str) -> int:
    return read_or_none(there.settings, f"workload.{name}", int) or 0


def _remedy(instead: list[Option]) -> str:
    """The nearest of each kind, so that a small change and another model both stand there."""
    said: dict[str, str] = {}
    for option in instead:
        if option.caveat or option.kind in said:
            continue
        if setting := _SETTINGS.get(option.kind):
            said[option.kind] = f"{option.says} ({setting}={option.words[1]})"
        elif option.kind == "model":
            said[option.kind] = f"another model, such as sightline_model={option.words[1]}"
        elif option.kind in ("card", "cards"):
            said[option.kind] = f"a host with {option.says}"
    return " or ".join(said.values()) or "use a larger GPU or a smaller model (scripts/plan --model NAME)"
