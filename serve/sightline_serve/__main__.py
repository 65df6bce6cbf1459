"""`python -m sightline_serve` is the console script."""

from sightline_serve.cli import main

raise SystemExit(main())
