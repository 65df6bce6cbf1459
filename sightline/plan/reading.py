"""Read one fact out of nested mappings that came from elsewhere, and say which one when it is not there."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T", str, int, bool, list[Any], dict[str, Any])


class Unreadable(Exception):
    """A fact that a check needs is missing, null or of the wrong type; `fact` is its dotted name."""

    def __init__(self, fact: str, found: object) -> None:
        super().__init__(fact)
        self.fact = fact
        self.found = found


def read(source: Any, fact: str, kind: type[T]) -> T:
    """Return the fact with the dotted name `fact` out of nested mappings.

    A number must be whole and not negative; true and false are no numbers; a text must not be empty.

    Raises:
        Unreadable: there is no such fact, it is null, or it is of another type.
    """
    value = source
    for key in fact.split("."):
        if not isinstance(value, dict) or key not in value:
            raise Unreadable(fact, None)
        value = value[key]
    if not isinstance(value, kind) or value == "":
        raise Unreadable(fact, value)
    if isinstance(value, int) and kind is int and (isinstance(value, bool) or value < 0):
        raise Unreadable(fact, value)
    return value


def read_or_none(source: Any, fact: str, kind: type[T]) -> T | None:
    """Return the fact as `read` does, and None where it cannot be read."""
    try:
        return read(source, fact, kind)
    except Unreadable:
        return None
