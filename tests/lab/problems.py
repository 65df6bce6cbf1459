"""What the lab says when it cannot do something."""

from __future__ import annotations


class LabError(Exception):
    """What went wrong, where, and what to do; shown to the person as one line."""


class NotHere(Exception):
    """This machine cannot run a lab at all; the text is the reason."""
