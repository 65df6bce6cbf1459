"""`scripts/bench gpu`: the engine on a device, against what the device can do and the library's own loop."""

from sightline.bench.gpu.command import add

__all__ = ["add"]
