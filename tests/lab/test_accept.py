"""scripts/accept on real hosts: each fault gives its verdict and its reason, and nothing is left behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sightline.accept.cli import main
from tests.lab import lab as labs
from tests.lab import limits
from tests.lab.deploying import Deployer
from tests.lab.host import Host, Lab
from tests.lab.mirror import mirror
from tests.lab.place import CHECKOUT
from tests.lab.problems import NotHere
from tests.unit.accept_boxes import FOREIGN, smi_says

LARGE = "llama-3.2-90b-vision-bnb-4bit"
DATA = "/root/autodl-tmp"
_EVERYTHING = """
find / -xdev ! -type d ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*' -printf '%p %s %T@\\n'
find / /root/autodl-tmp /tmp /dev/shm /run -xdev -type d ! -path '/proc/*' ! -path '/sys/*' -printf '%p\\n'
find /root/autodl-tmp /dev/shm /run -printf '%p\\n'
for process in /proc/[0-9]*; do tr '\\0' ' ' <$process/cmdline; echo; done
"""


@dataclass(frozen=True)
class Answer:
    """What the command said, with its exit code."""

    code: int
    said: str
    told: dict[str, Any] = field(default_factory=dict)

    def outcome(self, subject: str) -> str:
        return str(self.finding(subject)["outcome"])

    def finding(self, subject: str) -> dict[str, Any]:
        return next(found for found in self.told["findings"] if found["subject"] == subject)

    @property
    def reasons(self) -> list[str]:
        return [reason["subject"] for reason in self.told["reasons"]]


def command(host: Host, *words: str) -> list[str]:
    return [str(CHECKOUT / "scripts/accept"), host.name, "-F", str(host.place.ssh_config), *words]


def environment() -> dict[str, str]:
    return {**os.environ, "SIGHTLINE_CONTROLLER_PYTHON": sys.executable}


def accept(host: Host, *words: str) -> Answer:
    """Run the command as a person does, with --json; what it prints is shown when a test fails."""
    started = time.monotonic()
    ended = subprocess.run(
        command(host, "--json", *words), capture_output=True, text=True, timeout=150, env=environment()
    )
    print(f"{' '.join(words)}: {time.monotonic() - started:.1f} s\n{ended.stderr}{ended.stdout}")
    return Answer(ended.returncode, ended.stderr, json.loads(ended.stdout) if ended.stdout else {})


def shows(host: Host, recording: str) -> None:
    """Put a recording where the box looks first for nvidia-smi: it stands for a card that is not here."""
    text = f"""#!/bin/sh
# Stands for NVIDIA's nvidia-smi: a recorded list.
[ "$*" = "-q -x" ] || exit 6
cat <<'RECORDED'
{recording}
RECORDED
"""
    packed = base64.b64encode(text.encode()).decode()
    host.says(f"echo {packed} | base64 -d > /usr/local/bin/nvidia-smi && chmod +x /usr/local/bin/nvidia-smi")


def everything(host: Host) -> list[str]:
    """Files with size and time, folders, and what runs, less this look itself."""
    told = host.run(_EVERYTHING)
    own = ("sshd: root", "sh -c", "bash -c", "find ", "tr ")
    return sorted(line for line in set(told.stdout.splitlines()) if not line.startswith(own))


@pytest.fixture(scope="module")
def box(lab: Lab) -> Iterator[Host]:
    """A rented box with a data disk of 120 GB, of which nothing is taken until it is written."""
    labs.up(lab.place, [labs.Wish("box", "rented", size=120 * 10**9)])
    host = Host(lab.place, "box")
    yield host
    lab.down("box")


@pytest.fixture(scope="module")
def address(box: Host) -> Iterator[str]:
    """A mirror that the box can reach."""
    with mirror(box.says("ip route show default").split()[2]) as at:
        yield f"{at}/endless"


@pytest.fixture
def healthy(box: Host) -> Host:
    shows(box, smi_says("h100-80gb"))
    return box


def test_a_good_box_is_accepted_and_left_as_it_was(healthy: Host, address: str) -> None:
    before = everything(healthy)
    answer = accept(healthy, "--model", LARGE, "--line-url", address)
    assert (answer.code, answer.told["verdict"], answer.reasons) == (0, "accept", [])
    assert answer.told["facts"]["box"]["smi"]["cards"][0]["name"] == "NVIDIA H100 80GB HBM3"
    assert answer.told["facts"]["disk"]["path"] == DATA
    assert answer.told["facts"]["box"]["container"]
    assert answer.told["rates"]["line"] > 14_500_000
    assert answer.told["seconds"] < 120
    assert everything(healthy) == before


def test_the_look_itself_is_seen_by_the_look(healthy: Host) -> None:
    """What says that nothing is left is seen to say otherwise."""
    before = everything(healthy)
    healthy.says(f"mkdir {DATA}/left; echo x > /srv/left; nohup sleep 1000 >/dev/null 2>&1 & echo started")
    assert {line.split(" ")[0] for line in set(everything(healthy)) - set(before)} == {
        f"{DATA}/left",
        "/srv/left",
        "sleep",
    }
    healthy.says(f"rm -r {DATA}/left /srv/left; kill $(pidof sleep)")
    assert everything(healthy) == before


@pytest.mark.parametrize(
    ("recording", "subject", "found"),
    [
        (
            smi_says("h100-80gb", {"ecc_errors/volatile/dram_uncorrectable": "2"}),
            "GPU memory errors",
            "2 uncorrected",
        ),
        (
            smi_says("h100-80gb", {"pci/pci_gpu_link_info/link_widths/current_link_width": "4x"}),
            "GPU PCIe",
            "x4 of x16, generation 5",
        ),
        (
            smi_says("h100-80gb", processes=FOREIGN),
            "GPU shared",
            "1 process(es) that are not of this box: /opt/conda/bin/python (43.2 GB)",
        ),
        (
            smi_says("h100-80gb", {"clocks_event_reasons/clocks_event_reason_hw_thermal_slowdown": "Active"}),
            "GPU clocks",
            "slowed by heat, 30 degrees",
        ),
    ],
    ids=["ECC errors", "x4", "shared", "heat"],
)
def test_a_card_that_is_not_worth_its_money(box: Host, recording: str, subject: str, found: str) -> None:
    shows(box, recording)
    answer = accept(box, "--model", LARGE, "--no-disk-test")
    assert (answer.code, answer.told["verdict"], answer.reasons) == (1, "return", [subject])
    assert answer.finding(subject)["found"] == found


def test_a_card_that_is_too_small_and_a_driver_that_is_too_old(box: Host) -> None:
    shows(box, smi_says("a100-40gb"))
    answer = accept(box, "--model", LARGE, "--no-disk-test")
    assert (answer.code, answer.reasons) == (1, ["GPUs", "driver"])


@pytest.mark.slow
def test_a_slow_line(healthy: Host, address: str) -> None:
    with healthy.slowed(latency="200ms", loss="5%"):
        answer = accept(healthy, "--model", LARGE, "--no-disk-test", "--line-url", address)
    assert (answer.code, answer.reasons) == (1, ["line"])
    # 52.2 GB within an hour are 14.5 MB a second.
    assert answer.told["rates"]["line"] < 14_500_000
    assert "would take" in answer.finding("line")["why"]


def test_a_mirror_that_knows_no_such_file(healthy: Host, address: str) -> None:
    answer = accept(healthy, "--no-disk-test", "--line-url", f"{address}/nothing")
    assert (answer.code, answer.reasons) == (1, ["line"])
    assert "404" in answer.finding("line")["found"]


def test_a_full_disk(healthy: Host) -> None:
    with healthy.filled(DATA, leave="100m"):
        answer = accept(healthy, "--disk", DATA)
    assert (answer.code, answer.reasons) == (1, ["disk"])


@pytest.mark.slow
def test_a_slow_disk(fresh_host: Callable[..., Host]) -> None:
    host = fresh_host("rented", on_disk=True)
    before = everything(host)
    try:
        with limits.slow_disk(host.record, host.place.tag, 20_000_000):
            answer = accept(host, "--disk", "/srv")
    except NotHere as reason:
        pytest.skip(str(reason))
    assert (answer.code, answer.told["verdict"], answer.reasons) == (1, "return", ["disk write", "disk read"])
    # The kernel lets a burst through at first.
    assert 10_000_000 < answer.told["rates"]["disk_write"] < 30_000_000
    assert 10_000_000 < answer.told["rates"]["disk_read"] < 30_000_000
    assert answer.told["seconds"] < 120
    assert everything(host) == before


def test_a_small_control_group(healthy: Host) -> None:
    """The machine has more: what counts is what the box may use."""
    try:
        with limits.little_memory(healthy.record, healthy.place.tag, 512 * 2**20):
            answer = accept(healthy, "--no-disk-test")
    except NotHere as reason:
        pytest.skip(str(reason))
    assert (answer.code, answer.reasons) == (1, ["memory"])
    assert answer.told["facts"]["box"]["memory_bytes"] == 512 * 2**20
    assert answer.told["facts"]["box"]["memory_shown"] > 10**9


def test_a_skewed_clock(healthy: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """A host of the lab has this machine's clock, so ours is told otherwise: the difference counts."""
    words = command(healthy, "--no-disk-test", "--json")[1:]
    assert main(words) == 0
    capsys.readouterr()
    assert main(words, now=lambda: time.time() - 3600) == 1
    told = json.loads(capsys.readouterr().out)
    assert [reason["subject"] for reason in told["reasons"]] == ["clock"]
    assert told["reasons"][0]["found"].startswith("3600.")


@pytest.mark.slow
def test_a_box_without_a_card(debian12: Host, address: str) -> None:
    """A server of one's own: no nvidia-smi, and nothing to fetch a file with."""
    answer = accept(debian12, "--no-disk-test", "--line-url", address)
    assert (answer.code, answer.told["verdict"]) == (2, "could not tell")
    assert answer.finding("line")["found"] == "the box has neither curl nor wget"
    assert answer.finding("init")["found"] == "systemd"
    large = accept(debian12, "--no-disk-test", "--model", LARGE)
    assert (large.code, "GPUs" in large.reasons) == (1, True)


@pytest.mark.slow
def test_a_person_without_rights(nosudo: Host) -> None:
    answer = accept(nosudo, "--disk", "/home/person")
    assert answer.code == 0
    assert answer.finding("login")["found"] == "person, without sudo"


def test_a_box_needs_no_python(fresh_host: Callable[..., Host]) -> None:
    host = fresh_host("rented")
    host.says("rm /usr/bin/python3*; ! command -v python3")
    assert accept(host).code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["disk", "line"])
def test_nothing_is_left_when_it_is_interrupted(
    healthy: Host, address: str, moment: str, number: signal.Signals
) -> None:
    before = everything(healthy)
    words = command(healthy, "--line-url", address, *(["--no-disk-test"] if moment == "line" else []))
    with healthy.slowed(latency="20ms"):
        running = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
        )
        try:
            _until(healthy, f"test -e {DATA}/.sightline-accept-*/{'data' if moment == 'disk' else 'line'}")
            running.send_signal(number)
            _, said = running.communicate(timeout=20)
        finally:
            running.kill()
    assert running.returncode == {signal.SIGINT: 2}.get(number, -number)
    assert "Traceback" not in said
    _until(healthy, f'test -z "$(ls -A {DATA})"')
    deadline = time.monotonic() + 10
    while everything(healthy) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert everything(healthy) == before


def test_a_box_that_is_not_known_is_refused_until_it_is_accepted(healthy: Host, tmp_path: Path) -> None:
    known = tmp_path / "known"
    door = healthy.door(22)
    config = tmp_path / "config"
    config.write_text(f"Host *\n  UserKnownHostsFile {known}\n  GlobalKnownHostsFile /dev/null\n")
    words = [
        f"root@{door[0]}",
        "-p",
        str(door[1]),
        "-i",
        str(healthy.place.key),
        "-F",
        str(config),
        "--no-disk-test",
    ]
    tell = [str(CHECKOUT / "scripts/accept"), *words]

    def run(*more: str) -> Any:
        return subprocess.run([*tell, *more], capture_output=True, text=True, timeout=100, env=environment())

    refused = run()
    assert (refused.returncode, "is not known (ssh-ed25519 SHA256:" in refused.stderr) == (2, True)
    assert not known.exists()
    assert run("--accept-new").returncode == 0
    assert run().returncode == 0
    name, kind, _ = known.read_text().split()
    assert (name, kind) == (f"[{door[0]}]:{door[1]}", "ssh-ed25519")

    other = (healthy.place.key.with_suffix(".pub")).read_text().split()[1]
    known.write_text(f"{name} {kind} {other}\n")
    changed = run("--accept-new")
    assert (changed.returncode, "shows another host key" in changed.stderr) == (2, True)
    assert "ssh-keygen -R" in changed.stderr


def test_through_a_jump_host(healthy: Host, debian12: Host, tmp_path: Path) -> None:
    """The box is reached from the jump host only: its name in the configuration leads there."""
    config = tmp_path / "config"
    own = healthy.place.ssh_config.read_text()
    config.write_text(
        f"Host behind\n  HostName 127.0.0.1\n  Port 22\n  User root\n  ProxyJump {healthy.name}\n{own}"
    )
    key = (healthy.place.host(healthy.name) / "host_key.pub").read_text().split()
    known = tmp_path / "known"
    known.write_text(f"{healthy.place.known_hosts.read_text()}127.0.0.1 {key[0]} {key[1]}\n")
    config.write_text(config.read_text().replace(str(healthy.place.known_hosts), str(known)))
    words = [str(CHECKOUT / "scripts/accept"), "behind", "-F", str(config), "--no-disk-test", "--json"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=100, env=environment())
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["facts"]["box"]["smi"]["cards"][0]["name"] == "NVIDIA H100 80GB HBM3"


def test_a_password_and_a_passphrase(
    fresh_host: Callable[..., Host],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both are asked for, never given as an argument; one that is wrong opens nothing."""
    host = fresh_host("rented")
    host.says(
        "printf 'PermitRootLogin yes\\nPasswordAuthentication yes\\n' > /etc/ssh/sshd_config.d/lab.conf"
    )
    host.says("echo root:of-the-house | chpasswd; kill -HUP 1")
    host.wait()  # sshd begins anew, and nobody listens meanwhile
    door = host.door(22)
    text = f"Host *\n  UserKnownHostsFile {host.place.known_hosts}\n"
    config = tmp_path / "config"
    config.write_text(text)
    words = [
        f"root@{door[0]}",
        "-p",
        str(door[1]),
        "-F",
        str(config),
        "--no-disk-test",
        "--quiet",
        "--ask-password",
    ]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "of-the-house")
    assert main(words) == 0
    monkeypatch.setattr("getpass.getpass", lambda prompt: "of-another")
    assert main(words) == 2
    assert "lets nobody in with this key or password" in capsys.readouterr().err

    key = tmp_path / "key"
    key.write_bytes(host.place.key.read_bytes())
    key.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "of-mine", "-f", str(key)], check=True, timeout=30
    )
    monkeypatch.setattr("getpass.getpass", lambda prompt: "of-mine")
    assert main([*words, "-i", str(key)]) == 0
    assert main([*words[:-1], "-i", str(key)]) == 2
    assert "the key has a passphrase" in capsys.readouterr().err


def test_the_phase_of_site_yml(healthy: Host, lab: Lab, tmp_path: Path) -> None:
    """By its playbook, or with --tags accept. A box that is to be returned ends the run."""
    deployer = Deployer.into(tmp_path / "clone", lab)
    settings = {"sightline_accept_options": ["--no-disk-test"]}
    good = deployer.play(healthy, "playbooks/accept.yml", settings=settings, timeout=200)
    assert good.returncode == 0
    assert f"{healthy.name} | {healthy.kind.user}@" in good.stdout
    assert ": ACCEPT" in good.stdout

    shows(healthy, smi_says("h100-80gb", {"ecc_errors/volatile/dram_uncorrectable": "2"}))
    before = everything(healthy)
    words = ("--tags", "accept")
    bad = deployer.play(healthy, "site.yml", *words, settings=settings, timeout=200)
    assert bad.returncode != 0
    assert "return: GPU memory errors: 2 uncorrected" in bad.stdout
    assert everything(healthy) == before


def _until(host: Host, question: str) -> None:
    deadline = time.monotonic() + 30
    while host.run(question).returncode != 0:
        assert time.monotonic() < deadline, question
        time.sleep(0.05)
