"""`scripts/plan`."""

import os
import sys

from sightline.quote.cli import CANNOT_TELL, main

try:
    status = main()
    print(end="", flush=True)
except BrokenPipeError:
    # Whoever reads has read enough (`| head`): no traceback, and nothing more to flush at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = 141
except OSError as problem:
    # Such as a full disk behind `> plan.txt`. Python's own exit code for that would mean "does not fit".
    print(f"scripts/plan: the answer cannot be written: {problem.strerror}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = CANNOT_TELL
sys.exit(status)
