"""`scripts/bench gateway`: what the gateway adds to an answer of the server behind it."""

from sightline.bench.gateway.command import add

__all__ = ["add"]
