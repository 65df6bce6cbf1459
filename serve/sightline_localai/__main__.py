"""`python -m sightline_localai`."""

from sightline_localai.cli import main

raise SystemExit(main())
