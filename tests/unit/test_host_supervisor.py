"""A real supervisord: programs that run, come back, change, fail and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sightline_host.boot import start_script
from sightline_host.supervisor import LONGEST_SOCKET_PATH, Supervisor, SupervisorProblem, last_lines

Make = Callable[..., Supervisor]


@pytest.fixture
def make(tmp_path: Path, supervisor_environment: Path) -> Iterator[Make]:
    """make("root"): a Supervisor under tmp_path/root; whatever still runs is ended with the test."""
    made: list[Supervisor] = []

    def start(name: str = "root") -> Supervisor:
        folder = tmp_path / name / "supervisor"
        folder.mkdir(parents=True)
        (folder / "env").symlink_to(supervisor_environment)
        made.append(Supervisor(folder))
        return made[-1]

    yield start
    for supervisor in made:
        if supervisor.alive():
            supervisor._stop()


def program(supervisor: Supervisor, code: str, name: str = "demo", **settings: object) -> str:
    """A definition like the role's, with short times."""
    kept = {"startsecs": 0, "startretries": 1, "autorestart": "true", "stopwaitsecs": 5} | settings
    command = f'{sys.executable} -c "{code.replace("%", "%%")}"'
    # supervisord expands the name of a log twice.
    log = str(supervisor.log_folder / f"{name}.log").replace("%", "%%%%")
    lines = [f"[program:{name}]", f"command={command}", "redirect_stderr=true", f"stdout_logfile={log}"]
    return "\n".join([*lines, *(f"{key}={value}" for key, value in kept.items())]) + "\n"


SLEEP = "import time; time.sleep(600)"


def pid_of(supervisor: Supervisor, name: str = "demo") -> int:
    return int(supervisor.control("pid", name).stdout)


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def test_a_program_runs_comes_back_changes_and_goes(make: Make) -> None:
    supervisor = make()
    assert supervisor.state("demo") is None
    assert not supervisor.alive()
    definition = program(supervisor, SLEEP)

    assert supervisor.present("demo", definition, dry=True) == [
        "wrote supervisord.conf",
        "wrote start",
        "wrote demo.conf",
    ]
    assert not supervisor.config.exists()

    changes = supervisor.present("demo", definition)
    assert changes[:4] == ["wrote supervisord.conf", "wrote start", "wrote demo.conf", "started supervisord"]
    assert supervisor.state("demo") == "RUNNING"
    first, daemon = pid_of(supervisor), int(supervisor.control("pid").stdout)
    assert supervisor.present("demo", definition) == []
    assert supervisor.present("demo", definition, dry=True) == []
    assert pid_of(supervisor) == first

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.state("demo") == "RUNNING" and pid_of(supervisor) != first, "restarted")

    second = pid_of(supervisor)
    assert supervisor.present("demo", program(supervisor, SLEEP + "# new")) == ["wrote demo.conf", "updated"]
    third = pid_of(supervisor)
    assert third != second
    assert int(supervisor.control("pid").stdout) == daemon, "the daemon itself stays"
    assert b"# new" in Path(f"/proc/{third}/cmdline").read_bytes()

    assert supervisor.absent("demo", dry=True) == ["removed demo.conf", "stopped supervisord"]
    assert supervisor.state("demo") == "RUNNING"
    assert supervisor.absent("demo") == ["removed demo.conf", "stopped supervisord"]
    assert not Path(f"/proc/{third}").exists()
    assert not Path(f"/proc/{daemon}").exists()
    assert supervisor.absent("demo") == []


def test_a_stopped_program_is_started(make: Make) -> None:
    supervisor = make()
    definition = program(supervisor, SLEEP)
    supervisor.present("demo", definition)
    supervisor.control("stop", "demo")
    assert supervisor.state("demo") == "STOPPED"

    assert supervisor.present("demo", definition, dry=True) == ["start"]
    assert supervisor.present("demo", definition) == ["started"]
    assert supervisor.state("demo") == "RUNNING"


def test_supervisord_that_was_killed_is_started_again(make: Make) -> None:
    """As after a restart of a container: socket and pid file still lie there."""
    supervisor = make()
    definition = program(supervisor, SLEEP)
    supervisor.present("demo", definition)
    daemon, child = int(supervisor.control("pid").stdout), pid_of(supervisor)
    os.kill(daemon, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not supervisor.alive(), "the daemon is gone")
    assert supervisor.socket.exists()
    assert supervisor.state("demo") is None

    assert "started supervisord" in supervisor.present("demo", definition)
    assert supervisor.state("demo") == "RUNNING"


def test_the_last_program_takes_the_daemon_along_and_no_other(make: Make) -> None:
    supervisor = make()
    for name in ("one", "two"):
        supervisor.present(name, program(supervisor, SLEEP, name))

    assert supervisor.absent("one", dry=True) == ["removed one.conf"]
    assert supervisor.absent("one") == ["removed one.conf"]
    assert supervisor.state("two") == "RUNNING"
    assert supervisor.state("one") is None
    assert supervisor.absent("two") == ["removed two.conf", "stopped supervisord"]


def test_a_program_that_ends_at_once_is_reported_with_its_log(make: Make) -> None:
    supervisor = make()
    code = "print('no such model'); raise SystemExit(1)"

    with pytest.raises(SupervisorProblem) as caught:
        supervisor.present("demo", program(supervisor, code, startsecs=1, startretries=0))

    message = str(caught.value)
    assert message.startswith("demo does not keep running (FATAL); its log: ")
    assert str(supervisor.log_folder / "demo.log") in message
    assert "no such model" in message

    assert "updated" in supervisor.present("demo", program(supervisor, SLEEP)), "and can be mended"
    assert supervisor.state("demo") == "RUNNING"


def test_a_definition_that_cannot_be_read_is_reported(make: Make) -> None:
    supervisor = make()

    with pytest.raises(SupervisorProblem, match=r"supervisord did not start: .*'soon' in section"):
        supervisor.present("demo", program(supervisor, SLEEP, startsecs="soon"))
    assert not supervisor.alive()


def test_a_definition_that_cannot_be_read_is_reported_by_a_running_daemon_too(make: Make) -> None:
    supervisor = make()
    supervisor.present("demo", program(supervisor, SLEEP))

    with pytest.raises(SupervisorProblem, match=r"does not take the definition of demo: .*soon"):
        supervisor.present("demo", program(supervisor, SLEEP, startsecs="soon"))


@pytest.mark.parametrize("name", ["50% off", "with a space", "long-" + "x" * 110])
def test_roots_with_difficult_names(make: Make, name: str) -> None:
    supervisor = make(name)
    definition = program(supervisor, "import time; print('100% awake', flush=True); time.sleep(600)")

    supervisor.present("demo", definition)

    assert supervisor.state("demo") == "RUNNING"
    assert len(str(supervisor.socket)) <= LONGEST_SOCKET_PATH
    log = supervisor.log_folder / "demo.log"
    wait_until(lambda: last_lines(log) == "100% awake", "the log has its line")
    supervisor.absent("demo")
    assert not supervisor.socket.exists()


def test_the_short_socket_is_its_owners_alone_and_another_for_each_root(make: Make) -> None:
    one, other = make("one-" + "x" * 110), make("other-" + "x" * 110)
    assert one.socket != other.socket
    one.present("demo", program(one, SLEEP))

    assert one.socket.stat().st_mode & 0o077 == 0
    assert not other.alive()


def test_without_its_environment_the_program_counts_as_stopped(make: Make) -> None:
    """A rebuild that failed leaves the files and no supervisorctl: the probe must be able to say so."""
    supervisor = make()
    (supervisor.folder / "env").unlink()
    supervisor.config.touch()
    supervisor.definition("demo").parent.mkdir()
    supervisor.definition("demo").touch()

    assert supervisor.state("demo") is None
    assert not supervisor.alive()
    with pytest.raises(SupervisorProblem, match=r"supervisord did not start: .*env/bin/supervisord"):
        supervisor.present("demo", program(supervisor, SLEEP))
    assert supervisor.absent("demo") == ["removed demo.conf"]


def test_it_outlives_the_session_that_started_it(make: Make) -> None:
    supervisor = make()
    supervisor.present("demo", program(supervisor, SLEEP))
    daemon = int(supervisor.control("pid").stdout)

    assert os.getsid(daemon) != os.getsid(0)
    assert f"PPid:\t{os.getpid()}\n" not in Path(f"/proc/{daemon}/status").read_text()


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_bytes(b"\n".join(b"line %d" % n for n in range(30)) + b"\n\xff\n")
    assert last_lines(log, 3) == "line 28\nline 29\n\ufffd"


def test_what_runs_since_before_its_definition_was_written_is_started_anew(make: Make) -> None:
    """As after a run that was cut off between writing the definition and telling supervisord."""
    supervisor = make()
    definition = program(supervisor, SLEEP)
    supervisor.present("demo", definition)
    first = pid_of(supervisor)
    assert not supervisor.outdated("demo")
    later = time.time() + 10
    os.utime(supervisor.definition("demo"), (later, later))
    assert supervisor.outdated("demo")
    assert supervisor.present("demo", definition, dry=True) == ["restart"]
    assert supervisor.present("demo", definition) == ["restarted"]
    assert pid_of(supervisor) != first


def test_the_start_script_starts_one_whoever_calls_it_and_how_often(make: Make) -> None:
    """As after a restart: no process, the old pid in its file, and two that want it at the same moment."""
    supervisor = make("with space")
    supervisor.present("demo", program(supervisor, SLEEP))
    daemon, demo = int(supervisor.control("pid").stdout), pid_of(supervisor)
    for pid in (daemon, demo):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{daemon}").exists(), "gone")

    both = [subprocess.Popen([supervisor.starter]) for _ in range(2)]
    assert [one.wait(30) for one in both] == [0, 0]
    wait_until(lambda: supervisor.state("demo") == "RUNNING", "started again")
    again = int(supervisor.control("pid").stdout)
    assert again != daemon
    assert _daemons_in(supervisor.folder) == [again]
    assert subprocess.run([supervisor.starter]).returncode == 0
    assert int(supervisor.control("pid").stdout) == again


SLOW_TO_WRITE_ITS_NUMBER = """#!/bin/sh
echo started >> starts
(sleep 1; exec sh "$PWD/supervisord-daemon") &
"""


def test_the_start_script_waits_until_the_daemon_has_written_its_number(tmp_path: Path) -> None:
    """supervisord goes into the background first; a second caller at that moment must not start another."""
    program_file = tmp_path / "env/bin/supervisord"
    program_file.parent.mkdir(parents=True)
    program_file.write_text(SLOW_TO_WRITE_ITS_NUMBER)
    program_file.chmod(0o755)
    (tmp_path / "supervisord-daemon").write_text(
        "echo $$ > supervisord.pid; exec 1>&- 2>&-; read none < gate\n"
    )
    os.mkfifo(tmp_path / "gate")
    starter = tmp_path / "start"
    starter.write_text(start_script(tmp_path))
    starter.chmod(0o755)
    try:
        both = [subprocess.Popen([starter]) for _ in range(2)]
        assert [one.wait(30) for one in both] == [0, 0]
        assert (tmp_path / "starts").read_text() == "started\n"
    finally:
        gate = os.open(tmp_path / "gate", os.O_RDWR | os.O_NONBLOCK)
        os.write(gate, b"end\nend\n")
        wait_until(lambda: not _daemons_in(tmp_path), "ended")
        os.close(gate)


def _daemons_in(folder: Path) -> list[int]:
    """The numbers of the supervisords that work in `folder`."""
    return [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/environ") if _below(file, folder)]


def _below(environ: Path, folder: Path) -> bool:
    """Whether this process is a supervisord that works in `folder`."""
    try:
        command = (environ.parent / "cmdline").read_bytes()
        return b"supervisord" in command and (environ.parent / "cwd").resolve() == folder.resolve()
    except OSError:
        return False
