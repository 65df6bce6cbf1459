"""What keeps the server from starting."""

from __future__ import annotations


class StartError(Exception):
    """One line: what is wrong, where, and what to do."""
