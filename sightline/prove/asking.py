"""Putting cases to an endpoint one by one, and noticing when there is no point in going on."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .cases import Case
from .client import Fault, Message, Reply, messages
from .errors import CouldNotTell
from .judge import Judgement, judge
from .results import Shot, Sighting

MOST_FAULTS = 5
MOST_TIMEOUTS = 2


class Asked(Protocol):
    """What is asked: an Endpoint, or a stand-in in tests."""

    def ask(self, turns: list[Message], stream: bool = False) -> Reply:
        """Put one question and wait for the answer."""
        ...


class GaveUp(Exception):
    """Going on can't change the verdict; the message says why."""


class Asking:
    """Puts cases, writes down what happens, and calls `tick` after each shot.

    Raises GaveUp after MOST_FAULTS faults, MOST_TIMEOUTS timeouts or more than `slow_allowed` answers over
    `slow_limit` seconds, and CouldNotTell when the very first question is refused.
    """

    def __init__(
        self,
        endpoint: Asked,
        sighting: Sighting,
        slow_limit: float,
        slow_allowed: int,
        tick: Callable[[Shot], None] = lambda shot: None,
    ) -> None:
        self._endpoint = endpoint
        self._sighting = sighting
        self._slow_limit = slow_limit
        self._slow_allowed = slow_allowed
        self._tick = tick
        self._any_answer = False
        self.texts_shown: set[str] = set()

    def put(self, case: Case, label: str = "", second_look: bool = False, stream: bool = False) -> Shot:
        """Ask all turns of a case, with the endpoint's own answers in between, and judge the last one."""
        shot = self._converse(case, label, second_look, stream)
        self._note(shot)
        return shot

    def put_together(self, cases: list[Case], label: str, second_look: bool = False) -> list[Shot]:
        """Ask several cases at the same moment. Their latencies tell of queueing, so they are not counted."""
        with ThreadPoolExecutor(max_workers=len(cases)) as pool:
            shots = list(pool.map(lambda case: self._converse(case, label, second_look, False), cases))
        for shot in shots:
            self._note(shot, timed=False)
        return shots

    def _converse(self, case: Case, label: str, second_look: bool, stream: bool) -> Shot:
        self.texts_shown |= {picture.text for picture in case.pictures if picture.text}
        replies: list[Reply] = []
        for _ in case.turns:
            reply = self._endpoint.ask(messages(case.turns, [given.text for given in replies]), stream=stream)
            replies.append(reply)
            if reply.fault:
                verdict = Judgement(False, "", reply.fault.text)
                return Shot(case, tuple(replies), verdict, label, second_look)
        return Shot(case, tuple(replies), judge(replies[-1].text, case.expected), label, second_look)

    def _note(self, shot: Shot, timed: bool = True) -> None:
        fault = shot.fault
        if fault and not self._any_answer and fault.kind == "refused":
            code = "no_such_model" if fault.status == 404 else "unauthorised"
            remedy = "check the address, the key and the model's name"
            raise CouldNotTell(code, f"the first question got no answer: {fault.text}", remedy)
        self._any_answer = self._any_answer or fault is None
        if timed:
            self._sighting.seconds += [reply.seconds for reply in shot.replies if reply.fault is None]
        if fault:
            self._sighting.faults.append(fault)
        self._tick(shot)
        self._stop_if_hopeless(fault)

    def _stop_if_hopeless(self, fault: Fault | None) -> None:
        faults = self._sighting.faults
        if sum(past.kind == "timeout" for past in faults) >= MOST_TIMEOUTS:
            raise GaveUp(f"{MOST_TIMEOUTS} questions got no answer in time")
        if len(faults) >= MOST_FAULTS:
            raise GaveUp(f"{MOST_FAULTS} questions got an error for an answer")
        if fault and fault.kind == "connection":
            time.sleep(0.2)
        slow = sum(seconds > self._slow_limit for seconds in self._sighting.seconds)
        if slow > self._slow_allowed:
            raise GaveUp(f"{slow} answers took longer than {self._slow_limit:g} s")
