"""`python -m sightline.prove`: the same as scripts/prove."""

from sightline.ending import end
from sightline.prove.cli import main

COULD_NOT_TELL = 2

end("scripts/prove", main, COULD_NOT_TELL)
