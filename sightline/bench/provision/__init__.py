"""What deploying costs when nothing is to be done, over ssh, against the least that Ansible can do: ping."""

from sightline.bench.provision.command import add

__all__ = ["add"]
