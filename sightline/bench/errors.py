"""What ends a measurement without a figure."""

from __future__ import annotations


class BenchError(Exception):
    """It could not be measured: the text says what went wrong, where, and what to do."""


class NotHere(Exception):
    """This machine cannot do it; the text is the reason, for "not run: ..."."""
