"""`scripts/plan`."""

import sys

from sightline.quote.cli import main

sys.exit(main())
