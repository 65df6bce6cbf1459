"""A quote as tables for people."""

from __future__ import annotations

import textwrap

from sightline.fit import Fit, Workload, known_cards
from sightline.fit.terms import counted
from sightline.plan.render import human_bytes, table
from sightline.quote.making import Quote
from sightline.quote.rates import human_seconds
from sightline.quote.timing import Stage

VERDICTS = {"fits": "FITS", "uncertain": "MAY NOT FIT", "does not fit": "DOES NOT FIT"}


def quote_text(quote: Quote) -> str:
    """Return the whole quote."""
    parts = [
        [headline(quote), reason(quote.fit), *_in_short(quote)],
        option_lines(quote),
        memory_lines(quote),
        time_lines(quote),
        price_lines(quote),
        _deploy_lines(quote),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def headline(quote: Quote) -> str:
    """Return the verdict in one line."""
    return f"{quote.title} on {quote.fit.cards}: {VERDICTS[quote.fit.outcome]}"


def reason(fit: Fit) -> str:
    """Return why, in one line."""
    if fit.context_trouble:
        return f"  {fit.context_trouble}"
    each = " on the fullest card" if fit.used > 1 else ""
    said = f"  {human_bytes(fit.needed)} needed{each}, {human_bytes(fit.room)} usable"
    if fit.outcome == "uncertain":
        return f"{said}; {human_bytes(fit.certain)} are certain, the rest is estimated from above"
    if fit.outcome == "does not fit":
        return f"{said}; {human_bytes(fit.certain)} are certain"
    return f"{said}{', which is tight' if fit.tight else ''}"


def _in_short(quote: Quote) -> list[str]:
    """Time and money in one line; nothing where neither is known."""
    if quote.seconds is None:
        return []
    cost = quote.price.first_answer
    money = f", which costs {cost:.2f}" if cost is not None else ""
    return [f"  about {human_seconds(quote.seconds)} from a fresh machine to the first answer{money}"]


def workload_says(work: Workload) -> str:
    """Return what was asked of the server, in words."""
    pictures = f"{counted(work.pictures, 'picture')} of {work.width}x{work.height} in each"
    return f"{counted(work.slots, 'conversation')} of {work.context} tokens, {pictures}"


def memory_lines(quote: Quote) -> list[str]:
    """Return the terms of the memory and the article's rule beside their sum."""
    found = quote.fit.estimate
    rows = [("memory", "bytes", "sure", "how")]
    rows += [(term.name, human_bytes(term.bytes), term.basis, term.says) for term in found.terms]
    rows.append(("sum", human_bytes(found.total), "", workload_says(found.workload)))
    if found.article_bytes:
        rows.append(
            (
                "rule of thumb",
                human_bytes(found.article_bytes),
                "",
                "P x 4 / (32 / Q) x 1.2: no context, no pictures",
            )
        )
    return [f"  {line}" for line in table(rows)]


def time_lines(quote: Quote) -> list[str]:
    """Return the stages to the first answer; nothing where it does not fit."""
    if not quote.stages:
        return []
    rows = [("to the first answer", "time", "sure", "how")]
    rows += [(stage.name, _seconds(stage), stage.sure, stage.says) for stage in quote.stages]
    total = quote.seconds
    rows.append(("sum", human_seconds(total) if total is not None else "not known", "", "one after another"))
    parts = " + ".join(f"{share.what} {human_bytes(share.bytes)}" for share in quote.disk)
    disk = f"disk: {human_bytes(sum(share.bytes for share in quote.disk))} must be free ({parts})"
    return [*(f"  {line}" for line in table(rows)), "", f"  {disk}"]


def price_lines(quote: Quote) -> list[str]:
    """Return the costs, in the currency of the price."""
    rows: list[tuple[str, str, str]] = []
    price = quote.price
    if price.first_answer is not None:
        rows.append(("to the first answer", f"{price.first_answer:.2f}", f"at {price.per_hour:g} an hour"))
    if price.download is not None:
        rows.append(("of it downloads", f"{price.download:.2f}", ""))
    if (many := price.per_thousand) is not None:
        cost = f"{many.cost:.2f}" if many.cost is not None else "no price"
        rows.append(("1,000 pictures", cost, f"{human_seconds(many.seconds)}; {many.says}"))
    lines = [f"  {line}" for line in table([("costs", "", ""), *rows])] if rows else []
    return lines + (_wrapped(f"hint: {price.hint}") if price.hint else [])


def option_lines(quote: Quote) -> list[str]:
    """Return what would fit instead."""
    if quote.fit.outcome == "fits":
        return []
    if not quote.options:
        return ["  Nothing that is known here would fit: no other setting, card or model of the catalogue."]
    rows = [("what would fit", "", "bytes", "ask for it with")]
    for option in quote.options:
        asked = option.caveat or " ".join(option.words)
        rows.append((KINDS[option.kind], option.says, human_bytes(option.needed_bytes), asked))
    return [f"  {line}" for line in table(rows)]


def cards_text(fits: list[Fit]) -> str:
    """Return, for each known card, whether one model fits it."""
    rows = [("card", "what it is", "memory", "needed", "verdict")]
    for fit in fits:
        card = fit.cards.card
        rows.append(
            (card.name, card.title, human_bytes(card.memory_bytes), human_bytes(fit.needed), fit.outcome)
        )
    return "\n".join(table(rows))


def gpus_text() -> str:
    """Return the cards that are known by name."""
    rows = [("card", "what it is", "memory", "bandwidth", "16-bit arithmetic", "compute")]
    for name, card in known_cards().items():
        peak = f"{(card.flops or 0) / 1e12:g} TFLOP/s"
        bandwidth = f"{(card.bandwidth or 0) / 1e9:g} GB/s"
        rows.append((name, card.title, human_bytes(card.memory_bytes), bandwidth, peak, card.compute or ""))
    return "\n".join([*table(rows), "", "Several: h100-80gx2. Any other card by its size in GiB: 24g."])


def _deploy_lines(quote: Quote) -> list[str]:
    lines = [line for note in quote.notes for line in _wrapped(f"note: {note}")]
    lines += [line for engine, why in quote.others for line in _wrapped(f"not by {engine}: {why}")]
    if quote.hindrances:
        lines.append("  this kit cannot deploy it today:")
        lines += [line for hindrance in quote.hindrances for line in _wrapped(f"  {hindrance}")]
    else:
        lines.append(f"  this kit deploys it: scripts/up -e sightline_model={quote.fit.estimate.model}")
        lines[-1] += f" -e sightline_release={quote.release}"
    return lines


KINDS = {
    "slots": "fewer at a time",
    "pictures": "fewer pictures",
    "context": "another context",
    "quantisation": "fewer bits",
    "cards": "more cards",
    "card": "another card",
    "model": "another model",
}


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def _seconds(stage: Stage) -> str:
    return human_seconds(stage.seconds) if stage.seconds is not None else "not known"
