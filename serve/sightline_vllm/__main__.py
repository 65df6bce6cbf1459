"""`python -m sightline_vllm`."""

from sightline_vllm.cli import main

raise SystemExit(main())
