"""The gateway as the controller sees it: what it stands before, and what is in the way of that."""

from sightline.gateway.planned import Planned, as_there, plan_gateway, stood_before
from sightline.gateway.wishes import Wishes, read_wishes

__all__ = ["Planned", "Wishes", "as_there", "plan_gateway", "read_wishes", "stood_before"]
