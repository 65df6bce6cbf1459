"""`scripts/plan`."""

from sightline.ending import end
from sightline.quote.cli import CANNOT_TELL, main

end("scripts/plan", main, CANNOT_TELL)
