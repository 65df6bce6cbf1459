"""The plan: what would be done on a host, what it takes, and every reason not to begin."""

from sightline.plan.making import make_plan
from sightline.plan.outcome import Plan, Refusal, Share, Step

__all__ = ["Plan", "Refusal", "Share", "Step", "make_plan"]
