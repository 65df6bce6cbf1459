"""The real thing: the canary behind sightline-serve is proven, and liars in front of it are not.

The liars of test_liars.py that leave pixels alone are tried there in full; here stand the seven breakages
that the
sight check was made for, and those that change pixels, which only an endpoint that really sees can suffer
from.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightline.prove import cli
from sightline.prove.client import Endpoint
from sightline.prove.sight import Settings, look
from tests.prove.canary_server import Canary, running_canary
from tests.prove.test_liars import examined
from tests.stand_ins import liars
from tests.stand_ins.endpoint import KEY, EndpointStandIn, forward_to
from tests.stand_ins.liars import Liar


@pytest.fixture(scope="session")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    """The canary, served for all tests of the session."""
    with running_canary(tmp_path_factory.mktemp("canary")) as server:
        yield server


@pytest.fixture
def behind(canary: Canary, request: pytest.FixtureRequest) -> Iterator[EndpointStandIn]:
    """The liar that the test names, in front of the canary."""
    forward = forward_to(canary.base_url, canary.key, "canary")
    with EndpointStandIn(forward, request.param, key=KEY).serve() as stand_in:
        yield stand_in


def named(pairs: list[tuple[Liar, str]]) -> list[object]:
    return [pytest.param(liar, code, id=type(liar).__name__) for liar, code in pairs]


def test_the_canary_is_proven(canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By the command, as a person runs it."""
    out = tmp_path_factory.mktemp("out")
    arguments = ["--url", canary.base_url, "--key-file", str(canary.key_file), "--out", str(out)]
    assert cli.main([*arguments, "--seed", "20"]) == 0, (out / "report.json").read_text()


@pytest.mark.parametrize("behind", [Liar()], indirect=True)
def test_the_layer_itself_changes_nothing(behind: EndpointStandIn) -> None:
    assert examined(behind, seed=21)[1].outcome == "proven"


@pytest.mark.parametrize(
    ("behind", "code"),
    named(
        [
            (liars.ConstantAnswer(), "constant_answer"),
            (liars.TextGuesser(), "guessing"),
            (liars.PictureDropper(), "picture_dropped"),
            (liars.RedBlueSwapper(), "channels_swapped"),
            (liars.FirstPicture(), "stuck_picture"),
            (liars.FailsNowAndThen(), "errors"),
            (liars.LowResolution(), "detail_lost"),
            (liars.Mirror(), "detail_lost"),
            (liars.AlwaysBlank(), "stuck_picture"),
        ]
    ),
    indirect=["behind"],
)
def test_liars_before_the_canary_are_not_proven(behind: EndpointStandIn, code: str) -> None:
    _, verdict = examined(behind, seed=22)
    assert verdict.outcome == "not proven"
    assert code == verdict.causes[0].code, verdict.causes


@pytest.mark.parametrize("behind", [liars.Slow(2.2)], indirect=True)
def test_a_slow_canary_is_not_proven(behind: EndpointStandIn) -> None:
    sighting, verdict = examined(behind, seed=23, latency_limit=2)
    assert verdict.outcome == "not proven"
    assert verdict.causes[0].code == "slow"
    assert len(sighting.seconds) == 4


@pytest.mark.slow
def test_each_kind_is_answered_well_enough_for_the_rules(canary: Canary) -> None:
    """At 95 of 100 the rules' false alarms are no longer rare (docs/prove.md): a kind of picture that is
    harder than that for a model that sees would fail healthy endpoints, whatever the others reach.
    """
    endpoint = Endpoint(canary.base_url, "canary", canary.key, timeout=60)
    try:
        sighting = look(endpoint, Settings(seed=24, questions=800, controls=()))
    finally:
        endpoint.close()
    short = {kind: score for kind, score in sighting.scores().items() if score[0] < 0.95 * score[1]}
    assert short == {}


@pytest.mark.slow
def test_twenty_runs_and_no_false_alarm(canary: Canary, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--url",
        canary.base_url,
        "--key-file",
        str(canary.key_file),
        "--repeat",
        "20",
        "--seed",
        "1000",
    ]
    status = cli.main([*arguments, "--quiet"])
    told = capsys.readouterr().out
    assert told.startswith("20 of 20 runs proven"), told
    assert status == 0
