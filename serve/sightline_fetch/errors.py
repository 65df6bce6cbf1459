"""What can go wrong: with the request itself (FetchError) or with one source (SourceFailed)."""

from __future__ import annotations


class FetchError(Exception):
    """The fetch cannot go on; says what is wrong, where, and what to do."""

    def __init__(self, what: str, remedy: str = "", words: bool = False) -> None:
        super().__init__(f"{what}. Remedy: {remedy}." if remedy else f"{what}.")
        self.words = words  # the caller's own words or input: exit code 2


class SourceFailed(Exception):
    """One source did not give what it was asked for; another one, or a later try, may.

    `final`: asking again for this file is useless. `everywhere`: so it is for all files of this source.
    `retry_after`: seconds for which the source asked to be left alone. `slow`: it works, another is faster.
    """

    def __init__(
        self,
        why: str,
        *,
        final: bool = False,
        everywhere: bool = False,
        retry_after: float = 0.0,
        slow: bool = False,
    ) -> None:
        super().__init__(why)
        self.final = final or everywhere
        self.everywhere = everywhere
        self.retry_after = retry_after
        self.slow = slow


class Stopped(Exception):
    """The user, or a failure elsewhere, ended the fetch."""
