"""The gateway without LiteLLM: settings, keys, the watch, the configuration that LiteLLM is given."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from sightline_gateway import cli, pictures
from sightline_gateway.bodies import TooLarge, whole_body
from sightline_gateway.config import FALLBACK, OCI_HOOK, key_variable, litellm_config
from sightline_gateway.keys import Client, KeyRing, KeysProblem, Minutes, read_clients
from sightline_gateway.rotation import Rotation
from sightline_gateway.settings import Replica, Settings, settings_from
from sightline_gateway.sight import Round, Sight, look
from sightline_gateway.watch import Watch

from tests.stand_ins.replica import KEY, MODEL, ReplicaStandIn, colour_of

TOLD: dict[str, Any] = {
    "model": "llava",
    "replicas": [
        {"name": "one", "url": "http://10.0.0.1:8642/v1", "model": "llava"},
        {"name": "two", "url": "http://10.0.0.2:8642/v1", "model": "llava-gguf"},
    ],
    "cooldown": 10,
}
OCI = {"auth": "instance_principal", "region": "us-chicago-1", "compartment": "ocid1.compartment.oc1..a"}


def test_every_replica_is_a_deployment_of_one_name() -> None:
    made = litellm_config(settings_from(TOLD))
    assert [entry["model_name"] for entry in made["model_list"]] == ["llava", "llava"]
    two = made["model_list"][1]
    assert two["litellm_params"]["model"] == "openai/llava-gguf"
    assert two["litellm_params"]["api_base"] == "http://10.0.0.2:8642/v1"
    assert two["model_info"] == {"id": "two"}
    assert made["router_settings"]["routing_strategy"] == "least-busy"
    assert made["router_settings"]["cooldown_time"] == 10
    assert "fallbacks" not in made["router_settings"]
    assert made["litellm_settings"]["drop_params"] is True


def test_no_key_stands_in_the_configuration() -> None:
    keys = [entry["litellm_params"]["api_key"] for entry in litellm_config(settings_from(TOLD))["model_list"]]
    assert keys == ["os.environ/" + key_variable("one"), "os.environ/" + key_variable("two")]
    assert key_variable("a-b") != key_variable("a.b"), "two replicas never share a variable"


def test_the_last_resort_is_a_group_of_its_own() -> None:
    made = litellm_config(settings_from({**TOLD, "oci": OCI}))
    assert made["router_settings"]["fallbacks"] == [{"llava": [FALLBACK]}]
    last = made["model_list"][-1]
    assert (last["model_name"], last["model_info"]) == (FALLBACK, {"id": "oci"})
    assert last["litellm_params"]["oci_region"] == "us-chicago-1"
    assert OCI_HOOK in made["litellm_settings"]["callbacks"]
    assert OCI_HOOK not in litellm_config(settings_from(TOLD))["litellm_settings"]["callbacks"]
    alone = litellm_config(settings_from({"model": "m", "replicas": [], "oci": OCI}))
    assert [entry["model_name"] for entry in alone["model_list"]] == ["m"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"modell": "x"}, "has an entry 'modell'"),
        ({"replicas": []}, "at least one replica"),
        ({"replicas": [{"name": "one", "url": "http://x/v1"}]}, r"replicas\[0\] lacks model"),
        ({"replicas": TOLD["replicas"][:1] * 2}, "'one' stands there twice"),
        ({"replicas": [{"name": "a", "url": "ftp://x", "model": "m"}]}, "should begin with http"),
        ({"cooldown": "ten"}, "cooldown should be a number"),
        ({"retries": -1}, "retries should be a number from 0"),
        ({"body_limit": "64MB"}, "body_limit should be a number"),
        ({"model": ""}, "model should be the name"),
        ({"oci": {"region": "us-chicago-1"}}, "oci lacks compartment"),
    ],
)
def test_wrong_settings_are_told(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        settings_from({**TOLD, **change})


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--settings", str(tmp_path / "none"), "--print-config"]) == 1
    assert "No such file" in capsys.readouterr().err
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(TOLD))
    assert cli.main(["--settings", str(file), "--print-config"]) == 0
    assert "routing_strategy: least-busy" in capsys.readouterr().out
    stray = tmp_path / "replica-keys"
    stray.write_text("three sk-secret\n")
    assert cli.main(["--settings", str(file), "--keys", "x", "--replica-keys", str(stray)]) == 1
    said = capsys.readouterr().err
    assert "line 1" in said
    assert "one, two" in said
    assert "sk-secret" not in said
    with pytest.raises(SystemExit) as ended:
        cli.main(["--settings", str(file)])
    assert ended.value.code == 2


def test_keys_with_a_rate_and_models(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# who\nsk-alone\nbob sk-bob rpm=3 models=llava,canary\n\neve sk-eve==\n")
    alone, bob, eve = read_clients(file)
    assert (alone.name, alone.rpm, alone.models) == ("key-1", 0, ())
    assert (bob.name, bob.rpm, bob.models) == ("bob", 3, ("llava", "canary"))
    assert KeyRing((file,)).find("sk-eve==") == eve
    assert KeyRing((file,)).find("sk-bob") == bob
    assert KeyRing((file,)).find("sk-nobody") is None
    assert "sk-bob" not in repr(bob)


@pytest.mark.parametrize(
    "line", ["a b c", "a sk-1 rpm=many", "a sk-1 rmp=3", "a sk-1\na sk-2", "a sk-1\nb sk-1", "a sk-1 models="]
)
def test_a_wrong_line_is_told_without_the_key(tmp_path: Path, line: str) -> None:
    file = tmp_path / "keys"
    file.write_text(line + "\n")
    with pytest.raises(KeysProblem, match=r"line \d") as problem:
        read_clients(file)
    assert "sk-1" not in str(problem.value)


def test_a_file_that_changes_is_read_anew_and_a_broken_one_is_not(tmp_path: Path) -> None:
    own, clients = tmp_path / "own", tmp_path / "clients"
    own.write_text("sk-own\n")
    clients.write_text("")
    ring = KeyRing((own, clients))
    assert ring.find("sk-new") is None
    clients.write_text("new sk-new\n")
    found = ring.find("sk-new")
    assert found is not None
    clients.write_text("new sk-new what else\n")
    assert ring.find("sk-new") == found, "a file that cannot be used changes nothing"
    clients.unlink()
    assert ring.find("sk-new") == found
    clients.write_text("other sk-other\n")
    assert ring.find("sk-new") is None
    assert ring.find("sk-own") is not None


def test_no_key_at_all_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# nobody\n")
    with pytest.raises(KeysProblem, match="holds no key"):
        KeyRing((file,))


def test_requests_a_minute() -> None:
    now = [100.0]
    minutes = Minutes(lambda: now[0])
    bob, free = Client("bob", b"", rpm=2), Client("free", b"")
    assert [minutes.take(bob), minutes.take(bob)] == [0, 0]
    now[0] = 110.5
    assert minutes.take(bob) == 50, "the first of the two is 60 s old in 49.5 s"
    assert minutes.take(Client("eve", b"", rpm=2)) == 0
    assert [minutes.take(free) for _ in range(9)] == [0] * 9
    now[0] = 160.0
    assert minutes.take(bob) == 0


def test_pictures_show_the_colour_they_are_drawn_with() -> None:
    rng = random.Random(7)
    drawn = [
        (colour, pictures.request_body("m", pictures.draw(colour, rng))) for colour in pictures.COLOURS
    ] * 2
    for colour, body in drawn:
        assert colour_of(body["messages"][0]["content"][0]["image_url"]["url"]) == colour


def test_answers_are_read_as_people_say_them() -> None:
    assert pictures.names("The shape is Red.") == {"red"}
    assert pictures.names("violet") == {"purple"}
    assert pictures.names("It is red, not blue") == {"red", "blue"}
    assert pictures.names("reddish") == set()


async def _looks(stand_in: ReplicaStandIn, times: int = 1) -> list[Sight]:
    replica = Replica("one", stand_in.url, MODEL)
    rng = random.Random(3)
    async with httpx.AsyncClient(trust_env=False) as client:
        return [(await look(client, replica, KEY, 5, rng)).sight for _ in range(times)]


def test_who_sees_and_who_does_not() -> None:
    with ReplicaStandIn().serve() as stand_in:
        found = {}
        for mode in ("sees", "red", "busy", "broken", "away", "nonsense"):
            stand_in.mode = mode
            found[mode] = asyncio.run(_looks(stand_in, 3))
        assert stand_in.problems == []
    assert found == {
        "sees": [Sight.SEES] * 3,
        "red": [Sight.BLIND] * 3,
        "busy": [Sight.BUSY] * 3,
        "broken": [Sight.AWAY] * 3,
        "away": [Sight.AWAY] * 3,
        "nonsense": [Sight.AWAY] * 3,
    }
    assert asyncio.run(_looks(stand_in)) == [Sight.AWAY], "nobody listens there any more"


def test_another_key_is_away() -> None:
    async def asked(url: str) -> Round:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await look(client, Replica("one", url, MODEL), "sk-wrong", 5, random.Random(1))

    with ReplicaStandIn().serve() as stand_in:
        found = asyncio.run(asked(stand_in.url))
    assert found == Round(Sight.AWAY, "answered 400")


def rounds(rotation: Rotation, sights: str) -> list[bool]:
    """The place after each round: s sees, b blind, a away, t busy."""
    kinds = {"s": Sight.SEES, "b": Sight.BLIND, "a": Sight.AWAY, "t": Sight.BUSY}
    places = []
    for letter in sights:
        rotation.consider("one", Round(kinds[letter], letter))
        places.append(rotation.serving() == {"one"})
    return places


@pytest.mark.parametrize(
    ("sights", "places"),
    [
        ("s", [True]),
        ("sbsbs", [True] * 5),  # one miss is allowed
        ("sbb", [True, True, False]),
        ("sbbss", [True, True, False, False, True]),  # blind: it has to see twice
        ("sbbsbss", [True, True, False, False, False, False, True]),
        ("sas", [True, False, True]),  # away: once
        ("sttts", [True, True, True, False, True]),  # busy is busy; three times in a row it hangs
        ("sttsts", [True] * 6),
        ("bs", [False, False]),
        ("t", [False]),
    ],
)
def test_places(sights: str, places: list[bool]) -> None:
    assert rounds(Rotation(["one"]), sights) == places


def test_a_lost_replica_is_out_until_it_answers() -> None:
    rotation = Rotation(["one", "two"])
    rounds(rotation, "s")
    rotation.lost("one", "a request found nobody")
    assert rotation.serving() == set()
    assert "one: a request found nobody" in rotation.reasons()
    rotation.lost("no such", "x")
    assert rounds(rotation, "s") == [True]
    told = rotation.told()
    assert told["ready"] is True
    assert json.loads(json.dumps(told)) == told


def test_the_watch_takes_a_blind_one_out_and_back_again() -> None:
    async def story() -> list[set[str]]:
        settings = Settings(
            "m", (Replica("one", one.url, MODEL), Replica("two", two.url, MODEL)), watch_every=0.02
        )
        watch = Watch(settings, {"one": KEY, "two": KEY}, seed=5)
        watch.start()
        seen = []

        async def until(wanted: set[str]) -> None:
            async with asyncio.timeout(20):
                while watch.rotation.serving() != wanted:
                    await asyncio.sleep(0.01)
            seen.append(watch.rotation.serving())

        try:
            await until({"one", "two"})
            one.mode = "red"
            await until({"two"})
            two.mode = "guesses"
            await until(set())
            one.mode = two.mode = "sees"
            await until({"one", "two"})
        finally:
            await watch.stop()
        return seen

    with ReplicaStandIn().serve() as one, ReplicaStandIn().serve() as two:
        assert len(asyncio.run(story())) == 4
        assert one.problems == two.problems == []


def test_the_configuration_is_private(tmp_path: Path) -> None:
    from sightline_gateway.app import write_private

    write_private(tmp_path / "new" / "litellm.yaml", "x")
    assert os.stat(tmp_path / "new" / "litellm.yaml").st_mode & 0o777 == 0o600


def sent(*pieces: bytes, announced: str = "") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A request's scope and its messages, as ASGI has them; the client goes after its answer."""
    headers = [(b"content-length", announced.encode())] if announced else []
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = False
    return {"type": "http", "headers": headers}, [*messages, {"type": "http.disconnect"}]


@pytest.mark.parametrize("announced", ["", "6"])
def test_a_body_up_to_the_limit_comes_through_whole(announced: str) -> None:
    scope, messages = sent(b"abc", b"def", announced=announced)

    async def story() -> list[dict[str, Any]]:
        left = list(messages)

        async def receive() -> dict[str, Any]:
            return left.pop(0)

        again = await whole_body(scope, receive, 6)
        return [await again() for _ in messages]

    assert asyncio.run(story()) == messages


@pytest.mark.parametrize(("announced", "read"), [("", 2), ("7", 0), ("what", 2)])
def test_a_body_over_the_limit_is_left(announced: str, read: int) -> None:
    """What announces itself as too large is not read at all; what does not, no further than the limit."""
    scope, messages = sent(b"abc", b"defg", b"h", announced=announced)
    count = 0

    async def receive() -> dict[str, Any]:
        nonlocal count
        count += 1
        return messages[count - 1]

    with pytest.raises(TooLarge):
        asyncio.run(whole_body(scope, receive, 6))
    assert count == read
