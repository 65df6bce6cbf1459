"""The phase host on real hosts, with small packages that stand for NVIDIA's, from a signed repository.

The card is a recording, shown to the host by a mount over its PCI bus; no kernel module is built or loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import snapshots
from tests.lab.deploying import Deployer, copy_in, recap
from tests.lab.host import Host, Lab
from tests.stand_ins.apt_repository import AptRepository, missing_programs
from tests.stand_ins.nvidia_packages import KERNEL
from tests.stand_ins.nvidia_repository import nvidia_repository

RECORDING = Path(__file__).resolve().parents[1] / "recordings/pci/h100-80gb"
PORT = 8731
ALL = {"sightline_cuda": "12.4", "sightline_container_toolkit": True}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> AptRepository:
    if missing := missing_programs():
        pytest.skip(f"needs {', '.join(missing)}")
    return nvidia_repository(tmp_path_factory.mktemp("nvidia") / "repository")


@pytest.fixture(scope="module")
def deployer(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    return Deployer.into(tmp_path_factory.mktemp("clone"), lab)


@pytest.fixture(scope="module")
def machine(lab: Lab, repository: AptRepository) -> Iterator[Host]:
    """A Debian 12 machine that serves the repository to itself."""
    host = lab.up("gpu", "debian12")
    serve(host, repository)
    yield host
    lab.down("gpu")


def serve(host: Host, repository: AptRepository) -> None:
    copy_in(host, repository.folder, "/srv/repository")
    host.says(
        f"systemd-run -q --unit=repository python3 -m http.server -b 127.0.0.1 -d /srv/repository {PORT}"
    )
    host.says(f"for n in $(seq 50); do curl -s 127.0.0.1:{PORT} && exit; sleep 0.1; done || true")


def settings(repository: AptRepository, **more: object) -> dict[str, object]:
    return {
        "sightline_release": "cpu",
        "sightline_driver": "install",
        "sightline_driver_source": "nvidia",
        "sightline_driver_headers": [f"linux-headers-{KERNEL}"],
        "sightline_nvidia_repository": f"http://127.0.0.1:{PORT}",
        "sightline_nvidia_suite": "./",
        "sightline_nvidia_key": f"http://127.0.0.1:{PORT}/{repository.key.name}",
        "sightline_nvidia_fingerprint": repository.fingerprint,
        **more,
    }


def plug_in(host: Host) -> None:
    """A card on the host's PCI bus, until it starts anew."""
    host.says("rm -rf /srv/pci")
    copy_in(host, RECORDING, "/srv/pci")
    host.says("mount --bind /srv/pci /sys/bus/pci/devices")


def version_of(host: Host, package: str) -> str:
    told = host.run(f"dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {package}").stdout
    return told if told.endswith(" installed") else ""


def test_from_a_bare_machine_and_back(machine: Host, deployer: Deployer, repository: AptRepository) -> None:
    host, wishes = machine, settings(repository, **ALL)
    before, files = snapshots.of_system(host), snapshots.of_files(host)

    checked = deployer.play(host, "site.yml", "--tags", "host", "--check", settings=wishes)
    assert checked.returncode == 0
    assert snapshots.differences(before, snapshots.of_system(host)) == {}, "a check changes nothing"

    ended = deployer.play(host, "site.yml", "--tags", "host", settings=wishes)
    assert ended.returncode == 0
    assert f"the open kernel module 550.163.01 was built for {KERNEL}" in ended.stdout or (
        "building the open kernel module" in ended.stdout
    )
    assert version_of(host, "cuda-drivers-550") == "550.163.01-1 installed"
    assert version_of(host, "nvidia-kernel-open-dkms") == "550.163.01-1 installed", "not of a newer branch"
    assert version_of(host, "cuda-toolkit-12-4") == "12.4.1-1 installed"
    assert version_of(host, "nvidia-container-toolkit") == "1.17.8-1 installed"
    assert not version_of(host, "cuda"), "it would bring a driver of its own"
    held = host.says("apt-mark showhold").split()
    assert {"cuda-drivers-550", "libcuda1", "nvidia-kernel-open-dkms", "cuda-toolkit-12-4"} <= set(held)
    assert not {"dkms", "g++"} & set(held)
    assert "release 12.4" in host.says("bash -lc 'nvcc --version'")
    assert host.says("bash -lc 'echo $CUDA_HOME'") == "/usr/local/cuda-12.4"
    alone = host.says("apt-config dump Unattended-Upgrade::Package-Blacklist")
    assert '"^libcuda1$"' in alone
    assert '"linux-image-"' in alone
    assert "blacklist nouveau" in host.says("cat /etc/modprobe.d/sightline-nouveau.conf")

    again = deployer.play(host, "site.yml", "--tags", "host", settings=wishes)
    assert again.returncode == 0
    assert recap(again.stdout, host)["changed"] == 0

    gone = deployer.play(host, "playbooks/uninstall.yml")
    assert gone.returncode == 0
    assert snapshots.differences(before, snapshots.of_system(host)) == {}
    assert snapshots.of_files(host) == files


def test_a_hold_that_was_taken_off_is_put_back(
    machine: Host, deployer: Deployer, repository: AptRepository
) -> None:
    host, wishes = machine, settings(repository)
    assert deployer.play(host, "site.yml", "--tags", "host", settings=wishes).returncode == 0
    host.says("apt-mark unhold libcuda1")
    ended = deployer.play(host, "site.yml", "--tags", "host", settings=wishes)
    assert "libcuda1 is not held any more" in ended.stdout
    assert "libcuda1" in host.says("apt-mark showhold").split()
    assert deployer.play(host, "playbooks/uninstall.yml").returncode == 0


def test_cudnn_for_the_whole_system(machine: Host, deployer: Deployer, repository: AptRepository) -> None:
    """Its phase builds environments too: here the role alone."""
    host = machine
    play = [{"hosts": "sightline", "gather_facts": False, "roles": ["cudnn"]}]
    (deployer.clone / "cudnn.yml").write_text(json.dumps(play))
    where = settings(repository)
    source = {
        "name": "nvidia", "uri": where["sightline_nvidia_repository"], "suite": "./",
        "key": where["sightline_nvidia_key"], "fingerprint": repository.fingerprint,
    }  # fmt: skip
    words = {"cudnn_source": "nvidia", "cudnn_repository": source, "ansible_remote_tmp": "/tmp/ansible"}
    ended = deployer.play(host, "cudnn.yml", settings=words)
    assert ended.returncode == 0
    assert version_of(host, "libcudnn9-cuda-12") == "9.1.0.70-1 installed", "not the newest"
    assert "libcudnn9-cuda-12" in host.says("apt-mark showhold")
    gone = deployer.play(host, "cudnn.yml", settings=words | {"cudnn_state": "absent"})
    assert gone.returncode == 0
    assert not version_of(host, "libcudnn9-cuda-12")


# --- a card that nouveau has ------------------------------------------------------------------------------


def test_a_reboot_is_made_only_when_it_is_allowed_and_is_awaited(
    fresh_host: Callable[..., Host], deployer: Deployer, repository: AptRepository
) -> None:
    host = fresh_host("debian12")
    copy_in(host, repository.folder, "/srv/repository")
    wishes = settings(
        repository,
        sightline_nvidia_repository="file:///srv/repository",
        sightline_nvidia_key=f"file:///srv/repository/{repository.key.name}",
    )
    plug_in(host)
    host.says("mount -t tmpfs none /sys/module && mkdir /sys/module/nouveau")
    started = host.says("stat -c %Y /proc/1; cut -d' ' -f22 /proc/1/stat")

    refused = deployer.play(host, "site.yml", "--tags", "host", settings=wishes)
    assert refused.returncode != 0
    assert "nothing was changed" in refused.stdout
    assert "sightline_reboot_allowed=true" in refused.stdout
    assert host.says("stat -c %Y /proc/1; cut -d' ' -f22 /proc/1/stat") == started

    ended = deployer.play(
        host, "site.yml", "--tags", "host", settings={**wishes, "sightline_reboot_allowed": True}
    )
    assert ended.returncode == 0
    host.wait()
    assert host.says("stat -c %Y /proc/1; cut -d' ' -f22 /proc/1/stat") != started
    assert host.run("test -e /sys/module/nouveau").returncode == 1
    assert version_of(host, "cuda-drivers-550")


# --- what stands in the way -------------------------------------------------------------------------------


def test_a_held_lock_is_told_by_the_plan(
    machine: Host, deployer: Deployer, repository: AptRepository
) -> None:
    hold = (
        "systemd-run -q --unit=holder python3 -c 'import fcntl, time; "
        'f = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(600)\''
    )
    machine.says(hold)
    machine.says("sleep 1; systemctl is-active holder")
    try:
        ended = deployer.play(machine, "site.yml", "--tags", "host", settings=settings(repository))
    finally:
        machine.says("systemctl stop holder")
    assert ended.returncode != 0
    assert "holds the lock of apt" in ended.stdout
    assert "nothing was changed" in ended.stdout


BROKEN = [
    ({"sightline_nvidia_repository": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
    ({"sightline_nvidia_key": f"http://127.0.0.1:{PORT}/Packages"}, "holds no OpenPGP key"),
    ({"sightline_nvidia_fingerprint": "A" * 40}, f"instead of {'A' * 40}"),
    ({"sightline_driver_branch": "999"}, "no source of packages has"),
]


@pytest.mark.slow
def test_a_broken_repository_is_told_and_leaves_nothing(
    machine: Host, deployer: Deployer, repository: AptRepository
) -> None:
    before = snapshots.of_system(machine)
    for change, said in BROKEN:
        ended = deployer.play(machine, "site.yml", "--tags", "host", settings=settings(repository, **change))
        assert ended.returncode != 0
        assert said in ended.stdout.replace("\n", " ")
        assert "Traceback" not in ended.stdout
        assert not version_of(machine, "cuda-drivers-550")
    assert deployer.play(machine, "playbooks/uninstall.yml").returncode == 0
    assert snapshots.differences(before, snapshots.of_system(machine)) == {}


# --- a rented container -----------------------------------------------------------------------------------


def test_an_injected_driver_is_not_touched_whatever_is_asked_for(
    rented: Host, deployer: Deployer, repository: AptRepository
) -> None:
    host = rented
    injected = " ".join(
        [*(path for path in host.kind.injected if "proc" not in path), "/proc/driver/nvidia/version"]
    )
    look = (
        f"sha256sum {injected}; stat -c '%n %i %Y %Z %s %a' {injected}; "
        "grep -E 'nvidia|libcuda' /proc/self/mounts"
    )
    before = host.says(look)
    copy_in(host, repository.folder, "/srv/repository")
    wishes = settings(
        repository,
        sightline_nvidia_repository="file:///srv/repository",
        sightline_nvidia_key=f"file:///srv/repository/{repository.key.name}",
        **ALL,
    )
    ended = deployer.play(host, "site.yml", "--tags", "host", settings=wishes)
    assert ended.returncode == 0
    assert not version_of(host, "libcuda1")
    assert not version_of(host, "dkms")
    assert version_of(host, "cuda-toolkit-12-4"), "what is no driver may be asked for"
    assert host.says(look) == before
    assert deployer.play(host, "playbooks/uninstall.yml").returncode == 0
    assert host.says(look) == before
    assert not version_of(host, "cuda-toolkit-12-4")
