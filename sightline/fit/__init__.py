"""How much memory a server of a model takes, whether it fits, and what would fit instead."""

from sightline.fit.engines import ENGINES, Engine, choose_engine
from sightline.fit.errors import CannotEstimate
from sightline.fit.estimate import Estimate, estimate
from sightline.fit.gpus import (
    Card,
    Cards,
    UnknownCard,
    card_listed_as,
    cards_of_host,
    known_cards,
    parse_cards,
)
from sightline.fit.options import Option, options
from sightline.fit.terms import Basis, Term, Workload
from sightline.fit.verdict import Fit, fit_on

__all__ = [
    "ENGINES",
    "Basis",
    "CannotEstimate",
    "Card",
    "Cards",
    "Engine",
    "Estimate",
    "Fit",
    "Option",
    "Term",
    "UnknownCard",
    "Workload",
    "card_listed_as",
    "cards_of_host",
    "choose_engine",
    "estimate",
    "fit_on",
    "known_cards",
    "options",
    "parse_cards",
]
