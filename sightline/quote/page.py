"""A quote as one self-contained page: a bar of the memory's terms, and the tables; nothing is fetched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sightline.plan.render import human_bytes
from sightline.quote import text
from sightline.quote.making import Quote
from sightline.quote.rates import human_seconds

_TEMPLATES: Final = Path(__file__).parent / "templates"
_TONES: Final = {"fits": "good", "uncertain": "unsure", "does not fit": "bad"}


class PageProblem(Exception):
    """The page could not be written; the text says why."""


def as_page(quote: Quote) -> str:
    """Return the quote as an HTML document."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bytes"] = human_bytes
    environment.filters["seconds"] = human_seconds
    return environment.get_template("plan.html.j2").render(_view(quote))


def write_page(quote: Quote, path: Path) -> None:
    """Write the page to `path`, whole or not at all.

    Raises:
        PageProblem: it cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(as_page(quote))
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise PageProblem(f"the page cannot be written to {path}: {problem.strerror}") from None


def _view(quote: Quote) -> dict[str, Any]:
    fit = quote.fit
    return {
        "css": (_TEMPLATES / "plan.css").read_text(encoding="utf-8"),
        "quote": quote,
        "fit": fit,
        "tone": _TONES[fit.outcome],
        "verdict": text.VERDICTS[fit.outcome].lower(),
        "reason": text.reason(fit).strip(),
        "workload": text.workload_says(fit.estimate.workload),
        "parts": _parts(quote),
        "scale": max(fit.needed, fit.cards.card.memory_bytes),
        "kinds": text.KINDS,
    }


def _parts(quote: Quote) -> list[dict[str, Any]]:
    """The terms in the order of the table, with what the fullest card holds of each; widths in percent."""
    fit = quote.fit
    scale = max(fit.needed, fit.cards.card.memory_bytes)
    held = fit.estimate.on_fullest(fit.used)
    return [
        {
            "term": term,
            "held": size,
            "colour": f"c{position % 8}",
            "width": round(100 * size / scale, 3),
        }
        for position, (term, size) in enumerate(zip(fit.estimate.terms, held, strict=True))
    ]
