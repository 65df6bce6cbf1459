"""`python -m sightline.oci`: the same as scripts/ask-oci."""

from sightline.ending import end
from sightline.oci.cli import main

STOPPED = 2

end("scripts/ask-oci", main, STOPPED)
