"""What the estimator says where it cannot say how much memory is needed."""

from __future__ import annotations


class CannotEstimate(Exception):
    """A model of which nobody here can say how much memory it takes.

    `what` is wrong and `remedy` is what to do; `at_least` is a lower bound in bytes (the weights alone), None
    where not even these are known.
    """

    def __init__(self, what: str, remedy: str, at_least: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.at_least = at_least

    def __str__(self) -> str:
        return f"{self.what}. Remedy: {self.remedy}"
