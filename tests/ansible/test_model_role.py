"""A model of a hub comes onto this machine by `scripts/up --tags fetch`: shown, cut off, joined, removed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.ansible.clones import CHECKOUT, copy_checkout, plain_environment
from tests.stand_ins.hub import Hub, wait_until

FILES = {
    "model-00001.bin": random.Random(1).randbytes(12 << 20),
    "model-00002.bin": random.Random(2).randbytes(6 << 20),
    "config.json": b'{"model_type": "made-up"}',
}
TOTAL = sum(map(len, FILES.values()))
TOKEN = "hf_" + "0nlyForTheHub" * 2
ENVIRONMENT = plain_environment() | {"HF_TOKEN": TOKEN}


def write_entry(catalogue: Path, name: str, files: dict[str, bytes]) -> None:
    """A complete entry of a made-up model, like that of a real one in all but its files."""
    entry = yaml.safe_load((catalogue / "models/qwen2.5-vl-7b.yml").read_text())
    entry |= {"name": name, "source": {"kind": "hub", "repo": "owner/model", "commit": "c" * 40}}
    entry["files"] = [
        {
            "path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
            "role": "weights" if path.endswith(".bin") else "support",
        }
        for path, data in files.items()
    ]  # fmt: skip
    (catalogue / f"models/{name}.yml").write_text(yaml.safe_dump(entry))


@dataclass(frozen=True)
class Kit:
    """A clone with made-up models in its catalogue, a root folder beside it, two places to fetch from."""

    clone: Path
    root: Path
    hubs: tuple[Hub, Hub]

    def command(self, *words: str, model: str = "made-up", sources: list[str] | None = None) -> list[str]:
        settings = {
            "sightline_root": str(self.root),
            "sightline_model": model,
            "sightline_model_sources": [hub.url for hub in self.hubs] if sources is None else sources,
        }
        return ["scripts/playbook", "site.yml", "--tags", "fetch", "-e", json.dumps(settings), *words]

    def run(self, *words: str, fails: bool = False, **how: object) -> str:
        ended = subprocess.run(
            self.command(*words, **how),  # type: ignore[arg-type]
            cwd=self.clone, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, timeout=300,
        )  # fmt: skip
        print(ended.stdout)
        assert (ended.returncode != 0) is fails
        assert "Traceback" not in ended.stdout
        return ended.stdout

    @property
    def model(self) -> Path:
        (folder,) = (self.root / "models").glob("made-up-????????????")
        return folder

    @property
    def job(self) -> Path:
        return self.root / "fetch" / self.model.name

    @property
    def sent(self) -> int:
        return sum(hub.sent for hub in self.hubs)

    def whole(self) -> bool:
        return all((self.model / path).read_bytes() == data for path, data in FILES.items())


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    folder = tmp_path_factory.mktemp("model")
    clone = copy_checkout(folder / "clone")
    (clone / ".venv").symlink_to(CHECKOUT / ".venv")
    write_entry(clone / "catalogue", "made-up", FILES)
    write_entry(clone / "catalogue", "its-sister", FILES | {"config.json": b'{"model_type": "sister"}'})
    with Hub(FILES, trusted=False) as one, Hub(FILES, trusted=False) as other:
        yield Kit(clone, folder / "root", (one, other))
        assert one.leaks == other.leaks == [], "the token is the Hub's alone"
    stop_jobs(folder / "root")


def stop_jobs(root: Path) -> None:
    for pid in root.glob("fetch/*/pid"):
        if not (pid.parent / "ended").exists():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid.read_text()), signal.SIGKILL)


def recap(output: str) -> dict[str, int]:
    line = re.search(r"^local\s*: (.*)$", output, flags=re.MULTILINE)
    assert line, output
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[1])}


def test_a_check_fetches_nothing_and_tells_what_would_come(kit: Kit) -> None:
    said = kit.run("--check")
    assert "to fetch: 18.9 MB" in said
    assert recap(said)["changed"] > 0
    assert not kit.root.exists()
    assert kit.sent == 0


def test_a_file_that_nobody_has_is_told_when_the_fetch_begins(kit: Kit) -> None:
    for hub in kit.hubs:
        hub.faults.missing = {"config.json"}
    said = kit.run(fails=True)
    assert "config.json: " in said
    assert "404: it is not there" in said
    assert "TASK [Model | Wait" not in said, "before hours go by with the environment"
    for hub in kit.hubs:
        hub.faults.missing = set()


def slowly(kit: Kit, rate: float) -> None:
    """Bytes a second of each connection, of which there are eight."""
    for hub in kit.hubs:
        hub.faults.rate = rate


def begin(kit: Kit, until: str, *words: str) -> tuple[subprocess.Popen[str], list[str]]:
    """Start a run, and return it with its lines once one has the pattern `until`."""
    run = subprocess.Popen(
        kit.command(*words), cwd=kit.clone, env=ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    lines = []
    assert run.stdout is not None
    for line in run.stdout:
        lines.append(line)
        if re.search(until, line):
            return run, lines
    raise AssertionError(f"no line had {until!r}:\n" + "".join(lines))


def finish(run: subprocess.Popen[str], lines: list[str]) -> str:
    """Let it run to its end, which has to be a good one; returns all it said."""
    assert run.stdout is not None
    lines.append(run.stdout.read())
    assert run.wait() == 0, "".join(lines)
    return "".join(lines)


def kill(run: subprocess.Popen[str]) -> None:
    os.killpg(run.pid, signal.SIGKILL)
    assert run.stdout is not None
    run.stdout.close()
    run.wait()


def alive(pid: int) -> bool:
    """Whether there is such a process that nobody has yet to bury."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


PROGRESS = r"local \| [\d.]+ MB of 18\.9 MB, [\d.]+ [kM]B/s, \d+:\d\d left"


def test_a_run_that_is_killed_leaves_the_fetch_at_work_and_the_next_one_joins_it(kit: Kit) -> None:
    shutil.rmtree(kit.model)
    slowly(kit, 100_000)
    before = kit.sent
    run, lines = begin(kit, PROGRESS, "-vvvv")
    kill(run)
    assert TOKEN not in "".join(lines), "not even at -vvvv"
    pid = int((kit.job / "pid").read_text())
    assert alive(pid)
    assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()

    slowly(kit, 50_000)
    run, lines = begin(kit, PROGRESS)
    slowly(kit, 1e12)
    said = finish(run, lines)
    assert int((kit.job / "pid").read_text()) == pid, "it was joined, not started anew"
    assert "all 3 files are whole and verified, 18.9 MB" in said
    assert kit.whole()
    assert kit.sent - before < 1.2 * TOTAL
    written = (file for file in kit.root.rglob("*") if file.is_file())
    assert not any(TOKEN.encode() in file.read_bytes() for file in written)


def test_a_second_run_changes_nothing_and_asks_nobody(kit: Kit) -> None:
    before = sum(len(hub.requests) for hub in kit.hubs)
    said = kit.run()
    assert recap(said)["changed"] == 0
    assert "TASK [" not in said
    assert sum(len(hub.requests) for hub in kit.hubs) == before


def test_a_fetch_that_was_itself_killed_goes_on_from_what_is_there(kit: Kit) -> None:
    for path in ("model-00001.bin", "model-00002.bin"):
        (kit.model / path).unlink()
    slowly(kit, 300_000)
    before = kit.sent
    run, _ = begin(kit, PROGRESS)
    assert wait_until(lambda: kit.sent - before > TOTAL / 2, 60)
    kill(run)
    os.killpg(int((kit.job / "pid").read_text()), signal.SIGKILL)
    slowly(kit, 1e12)
    said = kit.run()
    assert "of it came before: the fetch goes on" in said
    assert "goes on from" in said
    assert kit.whole()
    # What was in flight is lost: less than a piece of 512 KiB and a socket's buffers for each of eight.
    assert kit.sent - before < TOTAL + 8 * (1 << 20)


def test_a_fetch_that_dies_while_it_is_followed_is_started_anew(kit: Kit) -> None:
    (kit.model / "model-00001.bin").unlink()
    slowly(kit, 100_000)
    run, lines = begin(kit, PROGRESS)
    os.killpg(int((kit.job / "pid").read_text()), signal.SIGKILL)
    slowly(kit, 1e12)
    assert "goes on from" in finish(run, lines)
    assert kit.whole()


def test_a_model_with_the_same_files_takes_no_second_copy_and_frees_only_its_own(kit: Kit) -> None:
    before = kit.sent
    for hub in kit.hubs:
        hub.files["config.json"] = b'{"model_type": "sister"}'
    said = kit.run(model="its-sister")
    assert said.count(", linked, ") == 2
    assert kit.sent - before < 1000

    absent = json.dumps({"sightline_models_absent": ["its-sister"]})
    refused = kit.run("-e", absent, fails=True, model="its-sister")
    assert "in use" in refused
    assert "would free 0.00 GB: " in kit.run("--check", "-e", absent)
    assert list((kit.root / "models").glob("its-sister-*"))
    assert re.search(r"local \| freed 0\.00 GB: .*its-sister-", kit.run("-e", absent))
    assert kit.whole()
    assert not list((kit.root / "models").glob("its-sister-*"))


def test_wrong_bytes_everywhere_are_never_in_place(kit: Kit) -> None:
    (kit.model / "model-00002.bin").unlink()
    for hub in kit.hubs:
        hub.faults.wrong = {"model-00002.bin"}
    said = kit.run(fails=True)
    assert "gives other bytes than the hash wants" in said
    assert not (kit.model / "model-00002.bin").exists()
    for hub in kit.hubs:
        hub.faults.wrong = set()
    kit.run()
    assert kit.whole()


def test_down_ends_a_fetch_that_is_at_work_and_takes_all_away(kit: Kit) -> None:
    (kit.model / "model-00001.bin").unlink()
    slowly(kit, 50_000)
    run, _ = begin(kit, PROGRESS)
    kill(run)
    pid = int((kit.job / "pid").read_text())
    assert alive(pid)
    ended = subprocess.run(
        ["scripts/playbook", "playbooks/down.yml", "-e", f"sightline_root={kit.root}"],
        cwd=kit.clone, env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    print(ended.stdout)
    assert ended.returncode == 0
    assert not kit.root.exists()
    assert not alive(pid)
