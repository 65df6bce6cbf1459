"""The plan: what would be done on a host, what it takes, and every reason not to begin."""

from sightline.plan.adopt import Adoption, decide_adoption
from sightline.plan.interpreter import python_to_fetch
from sightline.plan.making import make_plan
from sightline.plan.outcome import Plan, Refusal, Share, Step

__all__ = [
    "Adoption",
    "Plan",
    "Refusal",
    "Share",
    "Step",
    "decide_adoption",
    "make_plan",
    "python_to_fetch",
]
