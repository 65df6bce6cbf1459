import sys

from sightline.accept.cli import main

sys.exit(main())
