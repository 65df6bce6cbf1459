"""`scripts/accept`."""

from sightline.accept.cli import main
from sightline.accept.findings import EXIT_CODES
from sightline.ending import end

end("scripts/accept", main, EXIT_CODES["could not tell"])
