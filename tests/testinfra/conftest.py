"""Connects to the host of a deployment record, and writes what the checks found as JSON."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from sightline.catalogue import CatalogueError, load_release
from sightline.deployment import Connection, Deployment, DeploymentError, load

_results: dict[str, dict[str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deployment", type=Path, help="the deployment record of the host to check")
    parser.addoption("--results", type=Path, help="write the outcome of every check to this JSON file")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without a host there is nothing to check: the project's own test suite leaves these checks out.

    Those of CUDA are for hosts whose release has it, those of GPUs for services that compute on them.
    """
    record = config.getoption("--deployment")
    if record is None:
        return True
    if collection_path.name == "test_gpu.py":
        return True if device_of(record) != "cuda" else None
    return True if collection_path.name == "test_cuda_stack.py" and not release_of(record)["cuda"] else None


def device_of(record: Path) -> str:
    """What the record's service computes on; "cpu" for a record that cannot be read."""
    try:
        return load(record).device
    except DeploymentError:
        return "cpu"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A gateway has no model of its own."""
    record = config.getoption("--deployment")
    if record is not None and engine_of(record) == "gateway":
        items[:] = [item for item in items if item.name != "test_model_is_readable"]


def engine_of(record: Path) -> str:
    """What the record's service is; "" for a record that cannot be read."""
    try:
        return load(record).engine
    except DeploymentError:
        return ""


def release_of(record: Path) -> dict[str, Any]:
    """The catalogue's entry for the release of a record; one without CUDA where either cannot be read."""
    try:
        return dict(load_release(load(record).release.name))
    except (DeploymentError, CatalogueError):
        return {"cuda": None}


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The deployed release, as the catalogue has it."""
    return release_of(request.config.getoption("--deployment"))


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest) -> Deployment:
    try:
        return load(request.config.getoption("--deployment"))
    except DeploymentError as problem:
        pytest.exit(str(problem), returncode=4)


@pytest.fixture(scope="session")
def host(deployment: Deployment) -> Iterator[Host]:
    """The host, over one ssh connection for all checks. Raises Unreachable."""
    connection = deployment.connection
    with tempfile.TemporaryDirectory(prefix="sl-") as folder:
        # The name of a unix socket may have about 100 characters, so it lies in a short place.
        control = f"{folder}/c"
        yield reach(connection, control)
        if connection.type == "ssh":
            leave = ["ssh", "-o", f"ControlPath={control}", "-O", "exit", str(connection.host)]
            subprocess.run(leave, capture_output=True, check=False)


def reach(connection: Connection, control: str) -> Host:
    """A Testinfra host for a recorded connection; ssh keeps one connection at the socket `control`."""
    options: dict[str, Any] = {"sudo": connection.become}
    if connection.type == "local":
        spec = "local://"
    else:
        user = f"{connection.user}@" if connection.user else ""
        spec = f"ssh://{user}{connection.host}:{connection.port}"
        options |= {"ssh_identity_file": connection.private_key_file, "controlpath": control}
        options["ssh_extra_args"] = f"-o BatchMode=yes {connection.ssh_args}"
    reached = testinfra.get_host(spec, **options)
    try:
        answer = reached.run("true")
    except RuntimeError as problem:
        raise Unreachable(f"{spec} does not answer: {_last_line(problem.args[0].stderr)}") from None
    if answer.rc != 0:
        raise Unreachable(f"{spec} does not let commands run: {_last_line(answer.stderr)}")
    return reached


class Unreachable(Exception):
    """The host can't be asked, so nothing is known about its state."""


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    result = yield
    report = result.get_result()  # type: ignore[attr-defined]
    if report.when == "teardown" or (report.when == "setup" and report.passed):
        return
    error = call.excinfo
    outcome = (
        "passed"
        if report.passed
        else "unreachable"
        if error and error.errisinstance(Unreachable)
        else "failed"
    )
    doc = (getattr(item, "function", None).__doc__ or item.name).strip().splitlines()[0]
    _results[item.nodeid] = {
        "name": item.name,
        "title": doc.rstrip("."),
        "outcome": outcome,
        "message": "" if report.passed or error is None else str(error.value).splitlines()[0][:400],
        "seconds": round(call.duration, 3),
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--results")
    if path is not None and _results:
        path.write_text(json.dumps(list(_results.values())), encoding="utf-8")
