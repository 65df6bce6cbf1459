"""Every liar is found out, with the right reason: on a stand-in that sees, and on the real canary
(test_canary.py).
"""

from __future__ import annotations

import pytest

from sightline.prove.client import Endpoint
from sightline.prove.results import Sighting
from sightline.prove.sight import Settings, look, verdict_on
from sightline.prove.verdict import Verdict
from tests.prove.conftest import Serve
from tests.stand_ins import liars
from tests.stand_ins.endpoint import KEY, EndpointStandIn
from tests.stand_ins.liars import Forward, Liar
from tests.stand_ins.seeing_oracle import Body


def examined(
    stand_in: EndpointStandIn, seed: int = 1, latency_limit: float = 60.0
) -> tuple[Sighting, Verdict]:
    """What the sight check saw and says."""
    endpoint = Endpoint(stand_in.base_url, None, KEY, timeout=2 * latency_limit)
    try:
        endpoint.choose_model()
        settings = Settings(seed, latency_limit=latency_limit)
        sighting = look(endpoint, settings)
    finally:
        endpoint.close()
    return sighting, verdict_on(sighting, settings)


# The liars that change pixels need an endpoint that really sees: they are in test_canary.py.
LIARS: list[tuple[Liar, str]] = [
    (liars.ConstantAnswer(), "constant_answer"),
    (liars.EmptyAnswers(), "empty_answers"),
    (liars.TextGuesser(), "guessing"),
    (liars.PictureDropper(), "picture_dropped"),
    (liars.FirstPicture(), "stuck_picture"),
    (liars.QuestionCache(), "stuck_picture"),
    (liars.LateAnswers(), "late_answers"),
    (liars.LeakyPicture(), "control_no_picture"),
    (liars.OrderReverser(), "order_reversed"),
    (liars.FirstOfTwoOnly(), "one_picture_only"),
    (liars.ForgetsHistory(), "kind_too_weak"),
    (liars.FailsNowAndThen(), "errors"),
    (liars.CutsStreams(), "control_stream"),
]
NEVER_ALONE = ("control_stream",)
"""Reasons that stand beside a more telling one."""


@pytest.mark.parametrize(("liar", "code"), LIARS, ids=[type(liar).__name__ for liar, _ in LIARS])
def test_liars_are_not_proven(serve: Serve, liar: Liar, code: str) -> None:
    _, verdict = examined(serve(liar))
    assert verdict.outcome == "not proven"
    assert verdict.sentence.startswith("Not proven: ")
    codes = [cause.code for cause in verdict.causes]
    assert code in codes
    assert code == codes[0] or code in NEVER_ALONE


def test_healthy_endpoint_is_proven(serve: Serve) -> None:
    sighting, verdict = examined(serve())
    assert verdict.outcome == "proven"
    assert verdict.causes == ()
    assert sighting.right() == len(sighting.shots) == 40
    assert [control.name for control in sighting.controls] == [
        "blank",
        "other",
        "swap",
        "no-picture",
        "together",
        "stream",
    ]


def test_mixed_up_answers_are_only_seen_at_the_same_moment(serve: Serve) -> None:
    sighting, verdict = examined(serve(liars.MixedUpBatch(window=0.1)))
    assert [cause.code for cause in verdict.causes] == ["control_together"]
    assert sighting.right() == 40


def test_slow_endpoint_is_not_proven_and_not_asked_to_the_end(serve: Serve) -> None:
    sighting, verdict = examined(serve(liars.Slow(0.3)), latency_limit=0.2)
    assert verdict.outcome == "not proven"
    assert verdict.causes[0].code == "slow"
    assert "limit is 0.2 s" in verdict.sentence
    assert len(sighting.seconds) == 4, "65 answers may hold 3 slow ones; the fourth decides"


def test_endpoint_that_never_answers_is_not_proven(serve: Serve) -> None:
    sighting, verdict = examined(serve(liars.Slow(3)), latency_limit=0.1)
    assert verdict.outcome == "not proven"
    assert [fault.kind for fault in sighting.faults] == ["timeout", "timeout"]
    assert "no answer within 0.2 s" in verdict.sentence


def test_one_error_is_enough(serve: Serve) -> None:
    sighting, verdict = examined(serve(liars.FailsNowAndThen(every=40)))
    assert len(sighting.faults) == 1
    assert verdict.outcome == "not proven"
    assert "an error instead of an answer once (the last: HTTP 500: CUDA out of memory)" in verdict.sentence


def test_a_dead_endpoint_is_left_alone(serve: Serve) -> None:
    stand_in = serve(liars.FailsNowAndThen(every=1))
    sighting, verdict = examined(stand_in)
    assert verdict.outcome == "not proven"
    assert len(stand_in.requests) == len(sighting.faults) == 5


def test_guessing_can_be_allowed(serve: Serve) -> None:
    """A model that makes things up without a picture, but sees: allowed where it is known of the model."""

    class Dreamer(Liar):
        def __call__(self, body: Body, forward: Forward) -> str:
            return forward(body).replace("no image", "4711")

    stand_in = serve(Dreamer())
    assert [cause.code for cause in examined(stand_in)[1].causes] == ["control_no_picture"]
    endpoint = Endpoint(stand_in.base_url, None, KEY)
    endpoint.choose_model()
    settings = Settings(1, guessing_allowed=True)
    assert verdict_on(look(endpoint, settings), settings).outcome == "proven"


def test_a_leak_is_no_guess(serve: Serve) -> None:
    """An old picture's number without a picture is a leak, whatever is allowed."""

    class NumbersLeak(Liar):
        last = "no image"

        def __call__(self, body: Body, forward: Forward) -> str:
            answer = forward(body)
            if answer.isdigit() and len(answer) > 1:
                self.last = answer
            return self.last if answer == "no image" else answer

    endpoint = Endpoint(serve(NumbersLeak()).base_url, None, KEY)
    endpoint.choose_model()
    settings = Settings(1, guessing_allowed=True)
    sighting = look(endpoint, settings)
    control = next(control for control in sighting.controls if control.name == "no-picture")
    assert {trial.outcome for trial in control.trials} == {"failed"}
    assert "pictures leak" in control.trials[0].why


def test_the_same_seed_asks_the_same(serve: Serve) -> None:
    first, second, other = serve(), serve(), serve()
    for stand_in, seed in ((first, 5), (second, 5), (other, 6)):
        examined(stand_in, seed)
    ordered = [[request for request in stand_in.requests[:40]] for stand_in in (first, second, other)]
    assert ordered[0] == ordered[1]
    assert ordered[0] != ordered[2]
