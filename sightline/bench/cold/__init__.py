"""What a first deployment costs, against the bare commands that do the same work on the same kind of host."""

from sightline.bench.cold.command import add

__all__ = ["add"]
