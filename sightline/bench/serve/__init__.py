"""`scripts/bench serve`: sightline-serve beside the servers that people would start in its place."""

from sightline.bench.serve.command import add

__all__ = ["add"]
