"""What a gateway is planned to stand before, and what is refused before anything is touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sightline_gateway.keys import KeyRing
from sightline_gateway.settings import settings_from

from sightline.catalogue import entry_problems, load_model, load_release
from sightline.gateway import plan_gateway, read_wishes, stood_before
from sightline.gateway.keys import KeysProblem, client_keys, replica_keys
from sightline.plan.release import choose_release

TOLD: dict[str, Any] = {
    "name": "models.example.org",
    "host": "front",
    "local": False,
    "port": 8443,
    "tls": "internal",
    "certificate": "",
    "certificate_key": "",
    "body_limit": "64MB",
    "model": "",
    "clients": [{"name": "alice"}, {"name": "bob", "rpm": 30, "models": ["llava"]}],
    "replicas": [
        {"name": "one", "url": "http://10.0.0.1:8642/v1", "model": "llava", "key_file": "k1", "local": False},
        {"name": "two", "url": "http://10.0.0.2:8642/v1", "model": "llava", "key_file": "k2", "local": False},
    ],
    "tuning": {"retries": 3, "cooldown": 10.0, "timeout": 3600.0, "watch_every": 5.0, "watch_timeout": 30.0},
    "oci": {},
}
ROOT = 0


def refused(uid: int = ROOT, members: tuple[str, ...] = ("one", "two"), **change: Any) -> list[str]:
    planned = plan_gateway(read_wishes({**TOLD, **change}), "/opt/g", uid, members)
    return [refusal.what for refusal in planned.refusals]


def replica(**change: Any) -> dict[str, Any]:
    return {**TOLD["replicas"][0], **change}


def test_the_gateway_reads_what_the_plan_writes() -> None:
    planned = plan_gateway(read_wishes(TOLD), "/opt/g", ROOT)
    assert planned.refusals == ()
    settings = settings_from(planned.settings)
    assert settings.model == "llava"
    assert [item.url for item in settings.replicas] == ["http://10.0.0.1:8642/v1", "http://10.0.0.2:8642/v1"]
    assert (settings.retries, settings.watch_every) == (3, 5.0)
    assert settings.body_limit == 64_000_000, "as Caddy reads 64MB"
    assert not [value for value in ("k1", "k2") if value in str(planned.settings)]


def test_oracle_s_service_alone_has_its_own_model_s_name() -> None:
    oci = {"auth": "instance_principal", "region": "us-chicago-1", "compartment": "ocid1.compartment.oc1..a"}
    planned = plan_gateway(read_wishes({**TOLD, "replicas": [], "oci": oci}), "/opt/g", ROOT)
    assert planned.refusals == ()
    settings = settings_from(planned.settings)
    assert settings.model == "meta.llama-3.2-90b-vision-instruct"
    assert settings.replicas == ()
    named = plan_gateway(read_wishes({**TOLD, "replicas": [], "oci": oci, "model": "big"}), "/opt/g", ROOT)
    assert settings_from(named.settings).model == "big"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"members": ("one", "front")}, "front is in the groups sightline and gateway"),
        ({"replicas": []}, "nothing to stand before"),
        (
            {"replicas": [replica(), replica(name="two", model="other")]},
            "serve different models: llava, other",
        ),
        ({"replicas": [replica(url="http://127.0.0.1:8642/v1")]}, "one listens where the gateway does not"),
        ({"uid": 1000}, "only root can install it"),
        ({"tls": "acme"}, "no public authority certifies models.example.org on port 8443"),
        ({"tls": "acme", "name": "203.0.113.5", "port": 443}, "no public authority certifies 203.0.113.5"),
        ({"tls": "files"}, "sightline_gateway_certificate names no file"),
        ({"oci": {"config_file": "/nowhere/config"}}, "/nowhere/config"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, Any], says: str) -> None:
    assert any(says in what for what in refused(**change)), refused(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": [replica(), replica(name="two", model="other")], "model": "both"},
        {"replicas": [replica(url="http://127.0.0.1:8642/v1", local=True)], "local": True},
        {"uid": 1000, "tls": "none"},
        {"tls": "acme", "port": 443},
    ],
)
def test_what_can_work_is_not(change: dict[str, Any]) -> None:
    assert refused(**change) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tls": "maybe"}, "sightline_gateway_tls is 'maybe'"),
        ({"body_limit": "64"}, "looks like 64MB"),
        ({"clients": ["alice"]}, "an entry is like"),
        ({"clients": [{"name": "a b"}]}, "an entry is like"),
        ({"clients": [{"name": "a", "rpm": "5"}]}, "rpm of a should be a whole number"),
        ({"clients": [{"name": "a", "rmp": 5}]}, "a has 'rmp'"),
        ({"clients": [{"name": "a"}, {"name": "a"}]}, "names 'a' twice"),
        ({"clients": [{"name": "a", "models": ["x,y"]}]}, "models of a should be a list"),
    ],
)
def test_wrong_settings_are_told(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_wishes({**TOLD, **change})


def test_the_catalogue_knows_the_gateway_and_counts_no_weights() -> None:
    entry = stood_before(load_model("canary"))
    assert entry_problems("model", entry, "x") == []
    assert not [file for file in entry["files"] if file["role"] in ("weights", "projector")]
    assert choose_release("auto", "auto", {}, "gateway")[0] == "gateway"
    for name in ("gateway", "gateway-oci"):
        assert load_release(name)["engines"] == [{"engine": "gateway", "loaders": []}]


def test_clients_keys_are_made_once_and_go_with_their_name(tmp_path: Path) -> None:
    folder, file = tmp_path / "front.clients", tmp_path / "clients"
    assert client_keys(TOLD["clients"], folder, dry=True).count("sk-") == 0
    assert not folder.exists()
    text = client_keys(TOLD["clients"], folder)
    assert client_keys(TOLD["clients"], folder) == text
    file.write_text(text)
    ring = KeyRing((file,))
    bob = ring.find((folder / "bob").read_text().strip())
    assert bob is not None
    assert (bob.name, bob.rpm, bob.models) == ("bob", 30, ("llava",))
    assert os.stat(folder / "bob").st_mode & 0o777 == 0o600
    client_keys(TOLD["clients"][:1], folder)
    assert [path.name for path in folder.iterdir()] == ["alice"]


def test_replicas_keys_are_those_of_their_hosts(tmp_path: Path) -> None:
    key = tmp_path / "one"
    key.write_text("# the kit's first\nsightline sk-one\nalice sk-other\n")
    comment = replica_keys({})
    assert comment.startswith("#"), "the start script names the file, replicas or not"
    assert replica_keys({"one": str(key)}) == f"{comment}one sk-one\n"
    assert replica_keys({"one": str(key), "two": str(tmp_path / "two")}, dry=True) == f"{comment}one sk-one\n"
    with pytest.raises(KeysProblem, match="the replica two"):
        replica_keys({"one": str(key), "two": str(tmp_path / "two")})


def test_private_files_are_whole_and_private(tmp_path: Path) -> None:
    from sightline_host.secret import keep_private

    file = tmp_path / "secrets" / "x"
    assert keep_private(file, "a", None, dry=True) == ["x written"]
    assert not file.exists()
    assert keep_private(file, "a", None) == ["x written"]
    assert keep_private(file, "a", None) == []
    file.chmod(0o644)
    assert keep_private(file, "a", None) == ["x written"]
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert keep_private(file, "", None) == ["x removed"]
    assert keep_private(file, "", None) == []
