"""Tokens become text as they come: never half a character, never a piece of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

BROKEN = "\ufffd"  # what a decoder writes for bytes that are no character, or not yet


class Detokenizer:
    """Pushes tokens in, gets whole characters out.

    `decode` turns token ids into text. Only a short window is decoded each time: the tokens since the last
    but one clean cut, so that tokenizers which treat the first token of a text apart (a swallowed space)
    stay right.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self.decode = decode
        self.window: list[int] = []
        self.told = 0  # how many of the window's tokens have been told already

    def push(self, token: int) -> str:
        self.window.append(token)
        text = self._untold()
        if not text or text.endswith(BROKEN):
            return ""
        self.window = self.window[self.told :]
        self.told = len(self.window)
        return text

    def flush(self) -> str:
        """What is left at the end, without a character that will never be whole."""
        text = self._untold().rstrip(BROKEN)
        self.window, self.told = [], 0
        return text

    def _untold(self) -> str:
        return self.decode(self.window)[len(self.decode(self.window[: self.told])) :]


class StopStrings:
    """Holds back text that may be the start of a stop string; `hit` turns true when one is whole."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.held = ""
        self.after = ""  # what followed the stop string in the text that brought it
        self.hit = False

    def push(self, text: str) -> str:
        """The text that is safe to send. After a hit: nothing any more."""
        if self.hit:
            return ""
        self.held += text
        found = [(at, stop) for stop in self.stops if (at := self.held.find(stop)) >= 0]
        if found:
            self.hit = True
            at, stop = min(found)
            safe, self.after, self.held = self.held[:at], self.held[at + len(stop) :], ""
            return safe
        keep = max((self._overlap(stop) for stop in self.stops), default=0)
        cut = len(self.held) - keep
        safe, self.held = self.held[:cut], self.held[cut:]
        return safe

    def flush(self) -> str:
        safe, self.held = self.held, ""
        return safe

    def _overlap(self, stop: str) -> int:
        """How many last characters of the held text begin `stop`."""
        longest = min(len(stop) - 1, len(self.held))
        return next((size for size in range(longest, 0, -1) if self.held.endswith(stop[:size])), 0)
