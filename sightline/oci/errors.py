"""What stands between a question and the service's answer."""

from __future__ import annotations


class OciTrouble(Exception):
    """What happened, and what to do about it.

    `ours`: it is wrong here (words, configuration, files), and the service was not asked or cannot be.
    """

    def __init__(self, what: str, remedy: str, ours: bool = True) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
        self.ours = ours
