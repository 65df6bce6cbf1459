"""What every test may count on, however the run itself was started."""

from __future__ import annotations

import signal

from hypothesis import settings

# A machine that runs several suites may take any time for an example.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A shell's background job ignores SIGINT, and one under nohup SIGHUP; programs would inherit that from the
# tests, and some of these press ctrl-C or take the line away.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
