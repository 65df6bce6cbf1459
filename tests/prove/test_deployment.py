"""The deployment record: read whole or refused with a clear message."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sightline.deployment import FOLDER, Connection, DeploymentError, find, load, names

RECORD: dict[str, Any] = {
    "schema": 1,
    "host": "gpu1",
    "connection": {"type": "ssh", "host": "10.0.0.7", "port": 2222, "user": "root", "private_key_file": None},
    "base_url": "http://127.0.0.1:8642/v1",
    "model": "canary",
    "api_key_file": "/keys/gpu1",
    "engine": "sightline-serve",
    "release": {"name": "cpu", "id": "0123456789ab"},
    "root": "/opt/sightline",
    "init": "systemd",
    "service": {
        "name": "sightline-vlm",
        "user": "sightline",
        "bind": "127.0.0.1",
        "port": 8642,
        "unit": "/etc/systemd/system/sightline-vlm.service",
        "supervisor_conf": None,
        "supervisorctl": None,
    },
    "environment": {"path": "/opt/sightline/env/cpu", "lock_files": ["/a.lock.txt"], "lock_sha256": "00"},
    "model_dir": "/opt/sightline/models/canary",
    "api_key_path": "/opt/sightline/secrets/api_key",
    "deployed_at": "2026-01-01T00:00:00+00:00",
}


def written(folder: Path, record: Any, host: str = "gpu1") -> Path:
    """The record as a file of a checkout."""
    path = folder / FOLDER / f"{host}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return path


def changed(path: str, value: Any) -> dict[str, Any]:
    """The record with one value changed, or removed where the value is Ellipsis."""
    record = copy.deepcopy(RECORD)
    *parents, last = path.split(".")
    place = record
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return record


def test_a_whole_record(tmp_path: Path) -> None:
    deployment = load(written(tmp_path, RECORD))
    assert deployment.connection == Connection("ssh", "10.0.0.7", 2222, "root", None)
    assert deployment.service.port == 8642
    assert deployment.environment.lock_files == ("/a.lock.txt",)


def test_optional_values_may_be_missing(tmp_path: Path) -> None:
    record = changed("connection", {"type": "local"})
    del record["service"]["supervisor_conf"], record["environment"]["lock_sha256"]
    deployment = load(written(tmp_path, record))
    assert deployment.connection.port == 22
    assert deployment.environment.lock_sha256 is None


def test_records_may_grow(tmp_path: Path) -> None:
    assert load(written(tmp_path, changed("from_the_future", 1))).host == "gpu1"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "should be an object"),
        (changed("schema", 2), "schema 2, this version reads 1"),
        (changed("model", ...), "model is missing"),
        (changed("service.port", "8642"), 'service.port should be a whole number, not "8642"'),
        (changed("service.port", True), "service.port should be a whole number"),
        (changed("service", None), "service should be an object"),
        (changed("base_url", 7), "base_url should be a text"),
        (changed("init", "upstart"), 'init should be one of systemd, supervised, not "upstart"'),
        (changed("environment.lock_files", "a"), "environment.lock_files should be a list of texts"),
        (changed("connection.host", None), "connection.host is missing"),
        (changed("init", "supervised"), "service.supervisorctl is missing"),
    ],
)
def test_broken_records(tmp_path: Path, record: Any, said: str) -> None:
    path = written(tmp_path, record)
    with pytest.raises(DeploymentError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_record_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="run scripts/up first"):
        load(tmp_path / "none.json")
    with pytest.raises(DeploymentError, match="can't be read"):
        load(tmp_path)


def test_finding_a_record(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="nothing is deployed"):
        find(tmp_path)
    only = written(tmp_path, RECORD, "gpu1")
    assert find(tmp_path) == only
    second = written(tmp_path, RECORD, "gpu2")
    with pytest.raises(DeploymentError, match="gpu1, gpu2"):
        find(tmp_path)
    assert find(tmp_path, "gpu2") == second
    local = written(tmp_path, RECORD, "local")
    assert find(tmp_path) == local
    assert names(tmp_path) == ["gpu1", "gpu2", "local"]
    with pytest.raises(DeploymentError, match="no deployment of host 'gpu3'"):
        find(tmp_path, "gpu3")
    with pytest.raises(DeploymentError, match="no deployment of host"):
        find(tmp_path, "../../gpu1")
