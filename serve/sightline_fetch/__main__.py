import os

from sightline_fetch.cli import main

raise SystemExit(main(program=os.environ.get("SIGHTLINE_FETCH_NAME", "sightline-fetch")))
