"""`python -m sightline_gateway`."""

from sightline_gateway.cli import main

raise SystemExit(main())
