"""`scripts/accept`."""

import os
import sys

from sightline.accept.cli import main

try:
    status = main()
    sys.stdout.flush()
except BrokenPipeError:
    # Whoever reads has read enough (`| head`): no traceback, and nothing more to flush at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = 141
sys.exit(status)
