"""When there is nothing to judge."""

from __future__ import annotations


class CouldNotTell(Exception):
    """The endpoint was never asked, so nothing is known about its sight: what is wrong, and what to do
    about it.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.code = code
        self.what = what
        self.remedy = remedy
