"""The scripts that run on a box, run here: what they say, what they leave (nothing), and when they stop."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sightline.accept.examine as parts
from sightline.accept.box import read_box
from sightline.accept.errors import NoAnswer
from sightline.accept.examine import MOST_BYTES, Wishes, examine
from sightline.accept.speeds import disk_speed, line_speeds
from sightline.accept.talk import ask, new_mark, script
from tests.stand_ins.box_shell import BoxShell, Channel

SHELLS = [(name,) for name in ("sh", "dash", "bash") if shutil.which(name)]
if shutil.which("busybox"):
    SHELLS.append(("busybox", "sh"))

NEEDED = (
    *("cat", "cut", "date", "dd", "df", "env", "head", "id"),
    *("mkdir", "mkfifo", "rm", "sed", "sh", "sleep", "tr", "uname"),
)
"""All that the scripts ask of a box; each is part of any small image."""

DISK = {"PIECE": 1, "PIECES": 4, "SECONDS_EACH": 5}


@pytest.fixture(params=SHELLS, ids=lambda shell: " ".join(shell))
def shell(request: pytest.FixtureRequest) -> BoxShell:
    return BoxShell(request.param)


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., BoxShell]:
    """A box that has the programs named and those that are needed, and no others."""

    def make(*programs: str) -> BoxShell:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in (*NEEDED, *programs):
            found = shutil.which(name)
            assert found, name
            (folder / name).symlink_to(found)
        return BoxShell((str(folder / "sh"),), {"PATH": str(folder), "ACCEPT_TEST_PATH": "1"})

    return make


class Endless(http.server.BaseHTTPRequestHandler):
    """Sends /endless for ever, /slow a little at a time, /empty nothing, and knows nothing else."""

    sent = 0

    def do_GET(self) -> None:
        if self.path not in ("/endless", "/slow", "/empty"):
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        try:
            while self.path != "/empty":
                Endless.sent += self.wfile.write(bytes(65536 if self.path == "/endless" else 100))
                time.sleep(0 if self.path == "/endless" else 0.1)
        except OSError:
            return

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    Endless.sent = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def session(pid: int) -> list[str]:
    """What still runs of the session that `pid` began (proc(5), stat: the sixth field)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == pid and fields[0] not in "ZX":
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def gone(channel: Channel, patience: float = 15) -> bool:
    assert channel.process is not None
    deadline = time.monotonic() + patience
    while session(channel.process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not session(channel.process.pid)


def test_facts_are_told_in_any_shell(shell: BoxShell) -> None:
    said = ask(shell, "facts", 30, settings={"DISK": "/"})
    found = read_box(said)
    assert [section.name for section in said.sections if section.code is None] == []
    assert found.architecture == os.uname().machine
    assert found.kernel == os.uname().release
    assert found.root is (os.getuid() == 0)
    assert found.memory_shown == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    named = next(disk for disk in found.disks if disk.named)
    room = os.statvfs("/")
    assert named.total_bytes == room.f_frsize * room.f_blocks
    assert gone(shell.channels[0])


def test_the_disk_is_measured_in_any_shell_and_nothing_stays(shell: BoxShell, tmp_path: Path) -> None:
    speed = disk_speed(ask(shell, "disk", 30, str(tmp_path), DISK))
    assert speed.trouble is None
    assert speed.write is not None
    assert speed.read is not None
    assert (speed.write.bytes, speed.read.bytes) == (4 * 2**20, 4 * 2**20)
    assert list(tmp_path.iterdir()) == []
    assert gone(shell.channels[0])


def test_the_line_is_measured_in_any_shell_and_no_more_is_fetched(
    shell: BoxShell, tmp_path: Path, mirror: str
) -> None:
    most = 8 * 2**20
    settings = {"BYTES": most, "SECONDS_EACH": 5}
    words = [f"{mirror}/endless", f"{mirror}/nothing", f"{mirror}/empty"]
    endless, nothing, empty = line_speeds(ask(shell, "line", 20, str(tmp_path), settings, words))
    assert endless.flow is not None
    # dd counts short reads as whole ones, so it may stop early; never late.
    assert most // 4 < endless.flow.bytes <= most
    # What the two ends' buffers hold is on its way already.
    assert Endless.sent < most + 16 * 2**20
    assert nothing.flow is None
    assert "404" in str(nothing.trouble)
    assert empty.flow is None
    assert list(tmp_path.iterdir()) == []
    assert gone(shell.channels[0])


def test_a_slow_line_ends_with_its_time(tmp_path: Path, mirror: str) -> None:
    shell = BoxShell()
    settings = {"BYTES": 2**20, "SECONDS_EACH": 2}
    (slow,) = line_speeds(ask(shell, "line", 20, str(tmp_path), settings, [f"{mirror}/slow"]))
    assert slow.flow is not None
    assert slow.flow.rate < 2000
    assert slow.flow.seconds < 10


def test_wget_will_do(bare: Callable[..., BoxShell], tmp_path: Path, mirror: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    settings = {"BYTES": 2**20, "SECONDS_EACH": 5}
    (speed,) = line_speeds(ask(bare("wget"), "line", 20, str(place), settings, [f"{mirror}/endless"]))
    assert speed.flow is not None
    assert list(place.iterdir()) == []


def test_a_box_with_neither_says_so(bare: Callable[..., BoxShell], tmp_path: Path) -> None:
    said = ask(
        bare(), "line", 20, str(tmp_path), {"BYTES": 2**20, "SECONDS_EACH": 5}, ["http://127.0.0.1:1/"]
    )
    (speed,) = line_speeds(said)
    assert speed.trouble == "the box has neither curl nor wget"


def test_a_box_with_nothing_else_is_examined_whole(bare: Callable[..., BoxShell], tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    shell = bare()
    found = examine(shell, Wishes(disk=str(place), addresses=("http://127.0.0.1:1/",)), lambda text: None)
    assert found.skew is not None
    assert found.disk_speed is not None
    assert found.disk_speed.write is not None
    assert found.lines[0].trouble == "the box has neither curl nor wget"
    assert list(place.iterdir()) == []
    assert all(gone(channel) for channel in shell.channels)


def begin(shell: BoxShell, place: Path, limit: int = 60) -> Channel:
    """A disk test that would take long, at the moment when it writes."""
    text = script("disk", new_mark(), limit, str(place), {"PIECE": 1, "PIECES": 10**6, "SECONDS_EACH": 600})
    channel = shell.open_session(1)
    channel.exec_command("exec sh -s")
    channel.sendall(text.encode())
    deadline = time.monotonic() + 20
    while not list(place.glob(".sightline-accept-*/data")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return channel


def test_a_lost_connection_leaves_nothing(shell: BoxShell, tmp_path: Path) -> None:
    channel = begin(shell, tmp_path)
    channel.close()
    assert gone(channel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_script_that_is_stopped_leaves_nothing(shell: BoxShell, tmp_path: Path, number: int) -> None:
    channel = begin(shell, tmp_path)
    assert channel.process is not None
    os.kill(channel.process.pid, number)
    if number == signal.SIGKILL:
        # Nobody is left to hear: what watches the connection cleans up when that ends.
        channel.close()
    assert gone(channel)
    assert list(tmp_path.iterdir()) == []
    channel.close()


def test_the_box_itself_keeps_to_the_time(shell: BoxShell, tmp_path: Path) -> None:
    channel = begin(shell, tmp_path, limit=1)
    assert channel.process is not None
    channel.process.wait(20)
    assert gone(channel)
    assert list(tmp_path.iterdir()) == []
    channel.close()


def test_half_a_script_does_nothing(shell: BoxShell, tmp_path: Path) -> None:
    text = script("disk", new_mark(), 5, str(tmp_path), DISK)
    channel = shell.open_session(1)
    channel.exec_command("exec sh -s")
    channel.sendall(text[: len(text) // 2].encode())
    channel.close()
    assert gone(channel)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    speed = disk_speed(ask(BoxShell(), "disk", 10, str(tmp_path / "nowhere"), DISK))
    assert speed.write is None
    assert "No such file" in str(speed.trouble)


def test_a_login_that_runs_no_commands_is_no_answer() -> None:
    box = BoxShell(("echo", "This account is for file transfers only."))
    with pytest.raises(NoAnswer, match="file transfers only"):
        ask(box, "facts", 5, settings={"DISK": ""})


def test_a_folder_of_the_persons_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match=r"is not there, or .* cannot write to it"):
        examine(BoxShell(), Wishes(disk=str(tmp_path / "nowhere")), lambda text: None)


def test_words_of_the_person_are_no_commands(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    words = f"$(touch {trap}); touch {trap} '`touch {trap}`"
    ask(BoxShell(), "facts", 20, settings={"DISK": words})
    ask(BoxShell(), "line", 10, str(tmp_path), {"BYTES": 4096, "SECONDS_EACH": 1}, [f"http://{words}"])
    assert list(tmp_path.iterdir()) == []


def test_all_parts_together_stay_within_two_gib_and_two_minutes() -> None:
    piece = parts.PIECE * 2**20
    # Written and read, the first piece and the two tries besides, and what is fetched.
    assert 2 * parts.DISK_BYTES + piece + 2 * 2**20 + parts.LINE_BYTES <= MOST_BYTES
    clock, grace = 10, 5
    assert clock + parts.FACTS_SECONDS + parts.DISK_SECONDS + parts.LINE_SECONDS + grace <= parts.MOST_SECONDS
