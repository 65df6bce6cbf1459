"""Every host check passes on a healthy host and is seen to fail on a broken one."""

from __future__ import annotations

import getpass
import inspect
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import testinfra

from sightline.deployment import load
from sightline.prove.errors import CouldNotTell
from sightline.prove.host import CHECKOUT, CHECKS, check_host
from tests.stand_ins.host import StandInHost
from tests.testinfra import test_host
from tests.testinfra.test_cuda_stack import cudnn_number

Breaker = Callable[[StandInHost], None]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[StandInHost]:
    """A healthy host."""
    with StandInHost(tmp_path).running() as host:
        yield host


def failure(host: StandInHost, check: str) -> str:
    """What a check says about a broken host; raises when it passes."""
    deployment = load(host.record_path)
    arguments = {"host": testinfra.get_host("local://"), "deployment": deployment}
    function = getattr(test_host, check)
    wanted = inspect.signature(function).parameters
    with pytest.raises(AssertionError) as caught:
        function(**{name: arguments[name] for name in wanted})
    return str(caught.value).splitlines()[0]


def test_healthy_host_passes_every_check(standing: StandInHost) -> None:
    checks = check_host(standing.record_path)
    assert [check for check in checks if check.outcome != "passed"] == []
    assert len(checks) == 13
    assert "The service is running" in [check.title for check in checks]


def stopped(host: StandInHost) -> None:
    host.supervise(status="sightline-vlm   FATAL   Exited too quickly")


def never_restarted(host: StandInHost) -> None:
    host.program.write_text(host.program.read_text().replace("autorestart=true", "autorestart=false"))


def not_started_at_boot(host: StandInHost) -> None:
    host.program.write_text(host.program.read_text().replace("autostart=true", "autostart=false"))


def not_started_after_a_restart(host: StandInHost) -> None:
    host.write_record(service__start_at_boot=True)


def wrong_user(host: StandInHost) -> None:
    host.write_record(service__user="nobody-else")


def no_process(host: StandInHost) -> None:
    host.supervise(pid="0")


def another_address(host: StandInHost) -> None:
    host.write_record(service__bind="127.0.0.2")


def missing_distribution(host: StandInHost) -> None:
    host.lock.write_text(host.lock.read_text() + "absent-thing==1.0\n")


def other_version(host: StandInHost) -> None:
    host.lock.write_text("demo-engine==2.2.0\n")


def unlocked_distribution(host: StandInHost) -> None:
    host.install("stowaway", "0.1")


def looks_into_another_python(host: StandInHost) -> None:
    other = host.folder / "other"
    host.install("stowaway", "0.1", other)
    host.look_into(other)


def stowaway_in_an_adopted_one(host: StandInHost) -> None:
    host.write_record(environment__adopted="/opt/conda/lib/python3.12/site-packages")
    host.install("stowaway", "0.1")


def adopted_one_has_moved_on(host: StandInHost) -> None:
    """What the lock names was the other Python's, who has upgraded it since."""
    other = host.folder / "other"
    host.install("torch", "2.6.0", other)
    host.look_into(other)
    host.lock.write_text(host.lock.read_text() + "torch==2.5.1\n")
    host.write_record(environment__adopted=str(other))


def broken_environment(host: StandInHost) -> None:
    (host.folder / "env" / "bin" / "python").unlink()


def empty_lock(host: StandInHost) -> None:
    host.lock.write_text("# nothing\n")


def readable_key(host: StandInHost) -> None:
    host.key_path.chmod(0o644)


def key_for_the_group(host: StandInHost) -> None:
    host.key_path.chmod(0o640)


def no_key(host: StandInHost) -> None:
    host.key_path.unlink()


def writable_configuration(host: StandInHost) -> None:
    host.program.chmod(0o666)


def no_model(host: StandInHost) -> None:
    shutil.rmtree(host.model)


def empty_model(host: StandInHost) -> None:
    (host.model / "config.json").unlink()


def sick(host: StandInHost) -> None:
    host.statuses["/health"] = 500


def not_ready(host: StandInHost) -> None:
    host.statuses["/ready"] = 503


def open_door(host: StandInHost) -> None:
    host.asks_for_key = False


def other_key(host: StandInHost) -> None:
    host.key = "sk-renewed"


BROKEN: list[tuple[Breaker, str, str]] = [
    (stopped, "test_service_is_running", "FATAL"),
    (never_restarted, "test_service_starts_by_itself", "autorestart=false"),
    (not_started_at_boot, "test_service_starts_by_itself", "autostart=false"),
    (
        not_started_after_a_restart,
        "test_service_starts_by_itself",
        "nothing starts supervisord after a restart",
    ),
    (wrong_user, "test_process_runs_as_the_right_user", "not as nobody-else"),
    (no_process, "test_process_runs_as_the_right_user", "no process"),
    (another_address, "test_port_listens_where_it_should", "open on 127.0.0.1"),
    (missing_distribution, "test_environment_matches_its_lock", "missing: absent-thing"),
    (other_version, "test_environment_matches_its_lock", "demo-engine 2.1.0 instead of 2.2.0"),
    (unlocked_distribution, "test_environment_matches_its_lock", "not in the lock: stowaway 0.1"),
    (looks_into_another_python, "test_environment_matches_its_lock", "packages of another Python: stowaway"),
    (stowaway_in_an_adopted_one, "test_environment_matches_its_lock", "not in the lock: stowaway 0.1"),
    (adopted_one_has_moved_on, "test_environment_matches_its_lock", "torch 2.6.0 instead of 2.5.1"),
    (broken_environment, "test_environment_matches_its_lock", "does not run"),
    (empty_lock, "test_environment_matches_its_lock", "pin nothing"),
    (readable_key, "test_key_on_the_host_is_private", "0644"),
    (key_for_the_group, "test_key_on_the_controller_is_private", "0640"),
    (no_key, "test_key_on_the_host_is_private", "is missing"),
    (no_key, "test_key_on_the_controller_is_private", "is missing"),
    (writable_configuration, "test_configuration_is_protected", "0666"),
    (no_model, "test_model_is_readable", "is missing"),
    (empty_model, "test_model_is_readable", "holds no file"),
    (sick, "test_alive", "/health gives 500"),
    (not_ready, "test_ready", "/ready gives 503"),
    (open_door, "test_no_entry_without_the_key", "with no key /v1/models gives 200"),
    (other_key, "test_entry_with_the_key", "gives 401"),
]


@pytest.mark.parametrize(
    ("breaker", "check", "message"), BROKEN, ids=[f"{b.__name__}-{c}" for b, c, _ in BROKEN]
)
def test_broken_host_is_noticed(standing: StandInHost, breaker: Breaker, check: str, message: str) -> None:
    breaker(standing)
    assert message in failure(standing, check)


def test_an_environment_on_another_python_is_its_lock_too(standing: StandInHost) -> None:
    """What the lock names may lie there, at the very version; what else lies there is not the lock's affair.

    A library that torch was built with is no package; without the stamp's word for it, it is missing.
    """
    other = standing.folder / "other"
    standing.install("torch", "2.5.1+cu124", other)
    standing.install("jupyter", "1.0", other)
    standing.install("demo_engine", "1.9", other)
    standing.look_into(other)
    standing.lock.write_text(standing.lock.read_text() + "torch==2.5.1\nnvidia-nccl-cu12==2.21.5\n")
    standing.write_record(environment__adopted=str(other))
    assert "missing: nvidia-nccl-cu12" in failure(standing, "test_environment_matches_its_lock")

    stamp = {"brought": {"torch": "2.5.1+cu124", "nvidia-nccl-cu12": "torch's own"}}
    (standing.folder / "env/.sightline.json").write_text(json.dumps(stamp))
    failed = [check.name for check in check_host(standing.record_path) if check.outcome != "passed"]
    assert failed == []


FAKE_TORCH = """\
from types import SimpleNamespace as N
__version__ = {torch!r}
version = N(cuda={cuda!r})
backends = N(cudnn=N(version=lambda: {cudnn!r}))
"""


def cuda_stack(host: StandInHost, torch: str = "2.5.1+cu124", cuda: str = "12.4", cudnn: int = 90100) -> None:
    """Deploy a release with CUDA, whose PyTorch says this of itself."""
    host.write_record(release={"name": "seed-cu124", "id": "0123456789ab"})
    (host.packages / "torch.py").write_text(FAKE_TORCH.format(torch=torch, cuda=cuda, cudnn=cudnn))


def cuda_checks(host: StandInHost) -> list[tuple[str, str]]:
    """Outcome and message of the check that only releases with CUDA have."""
    name = "test_pytorch_loads_what_the_release_says"
    return [(check.outcome, check.message) for check in check_host(host.record_path) if check.name == name]


def test_what_pytorch_loads_is_held_against_the_release(standing: StandInHost) -> None:
    cuda_stack(standing)
    assert cuda_checks(standing) == [("passed", "")]
    cuda_stack(standing, cudnn=90501)
    ((outcome, message),) = cuda_checks(standing)
    assert (outcome, "cuDNN 90501 instead of 90100" in message) == ("failed", True)
    cuda_stack(standing, torch="2.6.0+cu126", cuda="12.6")
    ((outcome, message),) = cuda_checks(standing)
    assert "torch 2.6.0 instead of 2.5.1; CUDA 12.6 instead of 12.4" in message
    (standing.packages / "torch.py").write_text("import no_such_library\n")
    ((outcome, message),) = cuda_checks(standing)
    assert (outcome, "does not import torch" in message) == ("failed", True)


def test_a_release_without_cuda_is_not_asked_for_it(standing: StandInHost) -> None:
    assert cuda_checks(standing) == []


@pytest.mark.parametrize(("version", "number"), [("9.1.0.70", 90100), ("8.9.7", 8907), ("9.10.2.21", 91002)])
def test_cudnn_counts_its_versions_its_own_way(version: str, number: int) -> None:
    assert cudnn_number(version) == number


def test_nothing_listening_is_noticed(standing: StandInHost) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        standing.write_record(service__port=free.getsockname()[1])
        assert "nothing listens" in failure(standing, "test_port_listens_where_it_should")
        assert "no answer" in failure(standing, "test_alive")


def test_open_to_the_world_is_noticed(tmp_path: Path) -> None:
    with StandInHost(tmp_path, bind="0.0.0.0").running() as host:
        assert "open on 0.0.0.0" in failure(host, "test_port_listens_where_it_should")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask what another user can read")
def test_model_that_the_service_cannot_read_is_noticed(standing: StandInHost) -> None:
    standing.folder.chmod(0o700)
    standing.write_record(service__user="nobody")
    assert "nobody can't" in failure(standing, "test_model_is_readable")


def test_a_failed_check_is_reported_with_its_message(standing: StandInHost) -> None:
    standing.key_path.chmod(0o644)
    failed = {
        check.name: check.message for check in check_host(standing.record_path) if check.outcome == "failed"
    }
    assert set(failed) == {"test_key_on_the_host_is_private", "test_key_on_the_controller_is_private"}
    assert "others can get at it" in failed["test_key_on_the_host_is_private"]


def test_unreachable_host_is_not_a_failed_check(standing: StandInHost) -> None:
    """Nobody answers ssh on this port: the state is unknown, which is something else than bad."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        standing.write_record(
            connection={
                "type": "ssh",
                "host": "127.0.0.1",
                "port": free.getsockname()[1],
                "user": getpass.getuser(),
            }
        )
        checks = check_host(standing.record_path)
    on_host = [check for check in checks if check.name != "test_key_on_the_controller_is_private"]
    assert {check.outcome for check in on_host} == {"unreachable"}
    assert "does not answer" in on_host[0].message


def test_a_record_that_can_not_be_read_is_no_verdict(standing: StandInHost) -> None:
    standing.record_path.write_text("{}")
    with pytest.raises(CouldNotTell, match="schema"):
        check_host(standing.record_path)


def test_what_was_compiled_is_kept_out_of_the_way(
    standing: StandInHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compiling pytest and Testinfra for every proof took longer than the checks themselves.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    beside = CHECKS / "__pycache__"
    before = sorted(beside.glob("*"))
    kept = CHECKOUT / ".sightline/pycache" / CHECKS.relative_to("/")
    for compiled in kept.glob("test_host.*.pyc"):
        compiled.unlink()

    check_host(standing.record_path)

    assert len(list(kept.glob("test_host.*.pyc"))) == 1
    assert sorted(beside.glob("*")) == before
