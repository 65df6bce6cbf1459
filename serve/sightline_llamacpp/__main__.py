"""`python -m sightline_llamacpp`."""

from sightline_llamacpp.cli import main

raise SystemExit(main())
