"""What stands in the way of a verdict."""

from __future__ import annotations


class NoAnswer(Exception):
    """The box could not be examined: what happened, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
