"""What sightline-fetch gets out of a link, against curl, aria2 and `hf download` on the same link."""

from sightline.bench.fetch.command import add

__all__ = ["add"]
