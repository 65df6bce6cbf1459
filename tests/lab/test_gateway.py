"""A gateway on a host of its own before two engines: proven over TLS, a replica killed, one made blind, both
gone: then Oracle's service answers, or what stands for it.
"""

from __future__ import annotations

import json
import os
import random
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sightline_gateway.pictures import COLOURS, draw, request_body

from tests.ansible.clones import plain_environment
from tests.lab import readiness
from tests.lab.deploying import Deployer
from tests.lab.host import Host, Lab
from tests.stand_ins.oci import MODEL, OciStandIn
from tests.stand_ins.oci_identity import COMPARTMENT
from tests.stand_ins.replica import colour_of

pytestmark = [pytest.mark.slow, pytest.mark.long]

CLIENTS = 4
AT_THE_PAIR = "cd /opt/sightline/models/canary-*/gguf"

NOISE = """\
import random, struct, sys
path, noise = sys.argv[1], random.Random(1)
whole = bytearray(open(path, "rb").read())
many = len(whole) // 4 * 3 // 4  # numbers: the last three quarters of the file are weights
whole[-4 * many:] = struct.pack(f"<{many}f", *(noise.gauss(0, 1) for _ in range(many)))
open(path, "wb").write(whole)
"""


@dataclass(frozen=True)
class Front:
    """Two replicas and the gateway before them, deployed from a clone of this checkout."""

    deployer: Deployer
    one: Host
    two: Host
    host: Host
    inventory: Path
    oracle: OciStandIn

    def play(self, *words: str) -> str:
        command = ["scripts/playbook", *words, "-i", str(self.inventory)]
        ended = subprocess.run(
            command, cwd=self.deployer.clone, env=plain_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=3000,
        )  # fmt: skip
        print(f"$ {' '.join(command)}\n{ended.stdout}")
        assert ended.returncode == 0
        return ended.stdout

    def at(self) -> dict[str, Any]:
        """What scripts/endpoint --json says."""
        record = self.deployer.clone / f".sightline/deployments/{self.host.name}.json"
        return dict(json.loads(record.read_text()))

    def client(self) -> httpx.Client:
        at = self.at()
        key = Path(at["api_key_file"]).read_text().strip()
        trust = ssl.create_default_context(cafile=at["ca_file"])
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(
            base_url=at["base_url"], headers=headers, verify=trust, timeout=120, trust_env=False
        )

    def serving(self) -> dict[str, bool]:
        with self.client() as client:
            told = client.get(str(client.base_url).removesuffix("v1/") + "replicas").json()
        return {name: entry["serving"] for name, entry in told["replicas"].items()}

    def until(self, wanted: dict[str, bool], seconds: float) -> float:
        """Seconds until the replicas stand as wanted."""
        start = time.monotonic()
        while (found := self.serving()) != wanted:
            assert time.monotonic() - start < seconds, found
            time.sleep(0.2)
        return time.monotonic() - start


def sees(body: dict[str, Any]) -> str:
    """A managed model that sees: the colour of the picture it is sent."""
    (part,) = [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
    return colour_of(part["image_url"]["url"])


@pytest.fixture(scope="module")
def oracle() -> Iterator[OciStandIn]:
    """Oracle's service, on this machine's loopback."""
    with OciStandIn(answer=sees).serve() as service:
        yield service


@contextmanager
def within_reach(host: Host, url: str) -> Iterator[None]:
    """Meanwhile a service of this machine's loopback is at the same address in the host, through ssh: plain
    HTTP is taken there only.
    """
    address = url.removeprefix("http://")
    forward = readiness.ssh(host.place, host.name)
    forward[1:1] = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{address}:{address}"]
    tunnel = subprocess.Popen(forward, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while host.run(f"bash -c ': </dev/tcp/{address.replace(':', '/')}'").returncode:
            assert tunnel.poll() is None, "ssh has ended"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield
    finally:
        tunnel.terminate()
        tunnel.wait(20)


@pytest.fixture(scope="module")
def front(lab: Lab, oracle: OciStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    deployer = Deployer.into(tmp_path_factory.mktemp("clone"), lab)
    hosts = {name: lab.up(f"gw-{name}", "debian12") for name in ("one", "two", "front")}
    # llama.cpp's wheel needs it, and a bare Debian lacks it.
    hosts["two"].says(
        "apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 2>&1 | tail -1"
    )
    told = yaml.safe_load(lab.inventory.read_text())
    known = told["sightline"]["hosts"]
    common = {"sightline_user": "sightline"}
    members = {
        hosts["one"].name: {"sightline_bind": "0.0.0.0", "sightline_release": "cpu"},
        hosts["two"].name: {"sightline_bind": "0.0.0.0", "sightline_engine": "llamacpp"},
    }
    behind = {name: {**known[name], **common, **more} for name, more in members.items()}
    gateway = {
        **known[hosts["front"].name],
        **common,
        "sightline_gateway_clients": [{"name": "alice"}, {"name": "bob", "rpm": 2}],
        "gateway_oci": True,
        "gateway_oci_config_file": str(oracle.api_key.write_config(tmp_path_factory.mktemp("home") / "oci")),
        "gateway_oci_compartment": COMPARTMENT,
        "gateway_oci_endpoint": oracle.url,
    }
    groups = {
        "sightline": {"hosts": behind, "vars": told["sightline"].get("vars", {})},
        "gateway": {"hosts": {hosts["front"].name: gateway}, "vars": told["sightline"].get("vars", {})},
    }
    inventory = deployer.clone / "gateway.yml"
    inventory.write_text(yaml.safe_dump(groups))
    with within_reach(hosts["front"], oracle.url):
        yield Front(deployer, hosts["one"], hosts["two"], hosts["front"], inventory, oracle)
    lab.down(*(host.name for host in hosts.values()))


def ask(client: httpx.Client, colour: str, **more: Any) -> httpx.Response:
    return client.post(
        "/chat/completions", json={**request_body("canary", draw(colour, random.Random())), **more}
    )


def test_one_inventory_is_deployed_and_proven_over_tls(front: Front) -> None:
    output = front.play("site.yml")
    assert f"{front.host.name} | Proven: it sees." in output
    at = front.at()
    assert at["base_url"].startswith("https://")
    assert os.stat(at["ca_file"]).st_size > 0
    assert front.serving() == {front.one.name: True, front.two.name: True}
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(at["base_url"] + "/models", trust_env=False)
    for secret in ("api_key", "clients", "replica_keys", "oci_key.pem"):
        mode = front.host.says(f"stat -c '%a %U' /opt/sightline-gateway/secrets/{secret}").strip()
        assert mode == "600 sightline"
    assert front.host.run("pgrep -u caddy caddy").returncode != 0, "the distribution's own Caddy stays out"


def test_streams_come_in_pieces_and_nobody_sends_without_end(front: Front) -> None:
    with front.client() as client:
        with client.stream(
            "POST",
            "/chat/completions",
            json={**request_body("canary", draw("red", random.Random())), "stream": True},
        ) as answer:
            pieces = [line for line in answer.iter_lines() if line.startswith("data: {")]
        assert len(pieces) >= 2
        refused = client.post("/chat/completions", content=b"x" * 70_000_000)
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "request_too_large"
        root = str(client.base_url).removesuffix("v1/")
        assert client.get(root + "metrics").status_code == 404


def test_nothing_changes_the_second_time(front: Front) -> None:
    output = front.play("site.yml", "--skip-tags", "prove")
    assert output.count("changed=0") == 3


def test_no_request_of_four_clients_fails_while_a_replica_dies(front: Front) -> None:
    for host, other in ((front.one, front.two), (front.two, front.one)):
        said = during(
            front, partial(host.says, "systemctl kill -s KILL sightline-vlm; systemctl stop sightline-vlm")
        )
        assert said == {200}
        assert front.serving() == {host.name: False, other.name: True}
        host.says("systemctl reset-failed sightline-vlm; systemctl start sightline-vlm")
        front.until({host.name: True, other.name: True}, 240)


def test_a_blind_one_is_out_within_thirty_seconds_and_comes_back(front: Front) -> None:
    """llama.cpp with a projector of noise answers every picture, and looks healthy."""
    front.two.says(f"cat >/root/noise.py <<'END'\n{NOISE}END")
    front.two.says(
        f"{AT_THE_PAIR} && cp -p mmproj*.gguf /root/kept.gguf && python3 /root/noise.py mmproj*.gguf"
    )
    front.two.says("systemctl restart sightline-vlm")
    started = time.monotonic()
    while front.two.run(
        "python3 -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:8642/health\")'"
    ).returncode:
        assert time.monotonic() - started < 120
        time.sleep(0.5)
    took = front.until({front.one.name: True, front.two.name: False}, 30)
    print(f"out {took:.1f} s after it answered again")
    with front.client() as client:
        for colour in COLOURS:
            assert ask(client, colour).json()["choices"][0]["message"]["content"] == colour
    assert front.serving()[front.two.name] is False, "it is not the restart that keeps it out"
    front.two.says(f"{AT_THE_PAIR} && cp -p /root/kept.gguf $(ls mmproj*.gguf)")
    front.two.says("systemctl restart sightline-vlm")
    print(f"back after {front.until({front.one.name: True, front.two.name: True}, 120):.1f} s")


def test_oracles_service_answers_when_both_are_gone(front: Front) -> None:
    """Not before: of all that was asked until now nothing went there."""
    assert front.oracle.asked == []
    for host in (front.one, front.two):
        host.says("systemctl stop sightline-vlm")
    with front.client() as client:
        for colour in COLOURS:
            answer = ask(client, colour)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == colour
            assert answer.headers["x-litellm-model-id"] == "oci"
    assert front.serving() == {front.one.name: False, front.two.name: False}
    assert [asked["model"] for asked in front.oracle.asked] == [MODEL] * len(COLOURS)
    assert set(front.oracle.key_ids) == {front.oracle.api_key.key_id}
    assert front.oracle.refused == [], "every signature was right"
    front.one.says("systemctl start sightline-vlm")
    front.until({front.one.name: True, front.two.name: False}, 240)
    with front.client() as client:
        answer = ask(client, "blue")
    assert answer.headers["x-litellm-model-id"] == front.one.name
    assert answer.json()["choices"][0]["message"]["content"] == "blue"
    assert len(front.oracle.asked) == len(COLOURS)


def test_taken_down_nothing_stays(front: Front) -> None:
    front.play("playbooks/uninstall.yml")
    assert front.host.run("ls /opt/sightline-gateway").returncode != 0
    assert front.host.run("dpkg -s caddy").returncode != 0
    assert not list((front.deployer.clone / ".sightline/keys").glob(f"{front.host.name}*"))


def during(front: Front, what: Callable[[], object]) -> set[int]:
    """The statuses that four clients see who ask all the time before, while and after `what` happens."""
    statuses: list[int] = []
    over = threading.Event()

    def work() -> None:
        with front.client() as client:
            while not over.is_set():
                for colour in COLOURS:
                    answer = ask(client, colour)
                    statuses.append(answer.status_code)
                    if answer.status_code == 200:
                        assert answer.json()["choices"][0]["message"]["content"]

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    what()
    time.sleep(12)
    over.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > CLIENTS
    return set(statuses)
