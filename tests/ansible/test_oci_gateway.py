"""inventory/examples/oci: planned, refused without a configuration, deployed, proven and taken away.

Behind the stand-in of Oracle's service the real canary looks at the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.oci import MODEL
from tests.ansible.clones import Clone, cloned, free_port
from tests.prove.canary_server import running_canary
from tests.stand_ins.endpoint import forward_to
from tests.stand_ins.oci import OciStandIn
from tests.stand_ins.oci_identity import COMPARTMENT

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXAMPLE = ("-i", "inventory/examples/oci")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciStandIn]:
    """Oracle's service with a model that sees."""
    with running_canary(tmp_path_factory.mktemp("canary")) as canary:
        forward = forward_to(canary.base_url, canary.key, "canary")
        with OciStandIn(answer=lambda body: forward({**body, "temperature": 0})).serve() as service:
            yield service


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with cloned(tmp_path_factory.mktemp("oci")) as made:
        yield made


@pytest.fixture(scope="module")
def words(clone: Clone, service: OciStandIn, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The example's settings that a test must have of its own."""
    settings = {
        "sightline_root": clone.path / ".sightline/host",
        "sightline_service": f"oci-{clone.port}",
        "sightline_service_manager": "supervisor",
        "sightline_gateway_inner_port": free_port(),
        "gateway_oci_config_file": service.api_key.write_config(tmp_path_factory.mktemp("home") / "oci"),
        "gateway_oci_endpoint": service.url,
        "gateway_oci_compartment": COMPARTMENT,
    }
    return [*EXAMPLE, *(word for name, value in settings.items() for word in ("-e", f"{name}={value}"))]


def test_the_plan_says_what_is_missing(clone: Clone, words: list[str], tmp_path: Path) -> None:
    ended = clone.run("scripts/plan", *words, "-e", f"gateway_oci_config_file={tmp_path}/config")
    assert ended.returncode == 1
    assert "oci: REFUSED" in ended.stdout
    assert f"there is no {tmp_path}/config" in ended.stdout
    assert not (clone.path / ".sightline/host").exists()


def test_the_plan_asks_the_region(clone: Clone, words: list[str], service: OciStandIn) -> None:
    ended = clone.run("scripts/plan", *words)
    assert ended.returncode == 0, ended.stdout
    assert "oci: CAN BE DEPLOYED" in ended.stdout
    assert f"OCI: us-chicago-1 offers {MODEL}" in ended.stdout
    service.retires = "2026-01-01T00:00:00Z"
    ended = clone.run("scripts/plan", *words)
    service.retires = ""
    assert ended.returncode == 1
    assert f"{MODEL} was retired on demand on 2026-01-01 in us-chicago-1" in ended.stdout


def test_it_is_deployed_proven_and_taken_away(clone: Clone, words: list[str]) -> None:
    ended = clone.run("scripts/up", *words, "-e", f"sightline_port={clone.port}")
    assert ended.returncode == 0, ended.stdout
    assert "oci: PROVEN" in ended.stdout
    assert f"http://127.0.0.1:{clone.port}/v1   model {MODEL}" in ended.stdout
    key = clone.path / ".sightline/host/secrets/oci_key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" not in ended.stdout
    ended = clone.run("scripts/down", *words)
    assert ended.returncode == 0, ended.stdout
    assert not (clone.path / ".sightline/host").exists()
    assert clone.processes() == []
