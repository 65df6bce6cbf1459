"""`python -m sightline.prove`: the same as scripts/prove."""

from .cli import main

raise SystemExit(main())
