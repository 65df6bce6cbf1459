"""The driver from packages: the open module first, the other where it does not build; headers; reboots."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sightline_host.apt import AptProblem
from sightline_host.apt_sources import Repository
from sightline_host.dependants import states
from sightline_host.driver_install import (
    Flavour,
    Installed,
    build_error,
    choose_headers,
    install_driver,
    is_built,
    kernel_to_build,
    reboot_reason,
    start_driver,
    unload_driver,
)
from sightline_host.host_sets import read_sets
from sightline_host.kernel_modules import read_dkms
from sightline_host.package_removal import remove_sets
from sightline_host.package_set import PackageSet, Wanted

from tests.stand_ins.apt_repository import AptRepository, Package, missing_programs
from tests.stand_ins.nvidia_packages import ERROR, KERNEL, debians, headers
from tests.unit.apt_roots import AptRoot, make_root
from tests.unit.gpu_hosts import RECORDINGS, fresh_metal

OPEN = Flavour("open", ("nvidia-open-kernel-dkms", "nvidia-open-kernel-support"))
PROPRIETARY = Flavour("proprietary", ("nvidia-kernel-dkms", "nvidia-kernel-support"))
USERLAND = ("nvidia-smi", "libcuda1", "nvidia-persistenced")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> AptRepository:
    if missing := missing_programs():
        pytest.skip(f"needs {', '.join(missing)}")
    made = AptRepository(tmp_path_factory.mktemp("stock") / "repository")
    made.add(*debians())
    return made.publish()


@pytest.fixture
def repository(stock: AptRepository, tmp_path: Path) -> AptRepository:
    return stock.copy(tmp_path / "repository")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stock: AptRepository) -> AptRoot:
    return make_root(tmp_path / "root", monkeypatch)


@pytest.fixture
def said() -> list[str]:
    return []


Install = Callable[..., Installed]


@pytest.fixture
def install(root: AptRoot, repository: AptRepository, said: list[str]) -> Install:
    def run(
        flavours: Sequence[Flavour] = (OPEN, PROPRIETARY), names: Sequence[str] = (), may_reboot: bool = False
    ) -> Installed:
        source = Repository("nv", repository.uri, f"file://{repository.key}", repository.fingerprint, "./")
        wanted = Wanted(
            "driver", "f", "debian", repositories=(source,), hold=("nvidia-", "libnvidia-", "libcuda1"),
            files={"etc/modprobe.d/sightline-nouveau.conf": "blacklist nouveau\n"},
            leave_alone=("linux-image-", "linux-headers-"), least={"libcuda1": "550.54.14"},
        )  # fmt: skip
        work = PackageSet(wanted, said.append, root.path, 0.5)
        return install_driver(work, flavours, USERLAND, names, KERNEL, may_reboot)

    return run


def test_where_the_open_module_does_not_build_the_other_is_taken_and_told(
    root: AptRoot, install: Install, said: list[str]
) -> None:
    before = root.files()
    done = install()

    assert (done.flavour, done.version, done.kernel, done.reboot) == ("proprietary", "550.163.01", KERNEL, "")
    assert f"the open kernel module does not build on {KERNEL}: {ERROR}" in done.told
    assert set(done.told) <= {*said, f"the proprietary kernel module 550.163.01 was built for {KERNEL}"}
    assert read_sets(root.path)["driver"]["notes"] == done.told  # type: ignore[index]
    assert read_dkms(root.path) == [{"name": "nvidia-current", "version": "550.163.01", "kernels": [KERNEL]}]
    held = {name for name, state in states(root.status).items() if state[0] == "hold"}
    assert held == {
        "nvidia-kernel-dkms", "nvidia-kernel-support", "nvidia-smi", "libnvidia-ml1", "libcuda1",
        "nvidia-persistenced",
    }  # fmt: skip
    alone = (root.path / "etc/apt/apt.conf.d/60sightline-driver").read_text()
    assert '"^libcuda1$";' in alone
    assert '"linux-image-";' in alone
    assert "open" not in alone

    remove_sets(None, said.append, root.path, 0.5)
    assert states(root.status) == {}
    assert root.files() == before


def test_a_key_that_was_there_before_stays(root: AptRoot, install: Install, said: list[str]) -> None:
    """Somebody may have enrolled it in the machine's firmware."""
    key = root.path / "var/lib/dkms/mok.key"
    key.parent.mkdir(parents=True)
    key.write_text("mine\n")
    install()
    remove_sets(None, said.append, root.path, 0.5)
    assert key.read_text() == "mine\n"


def test_the_open_module_is_taken_where_it_builds(
    root: AptRoot, install: Install, repository: AptRepository
) -> None:
    repository.packages.clear()
    repository.add(*debians(open_builds=True))
    repository.publish()
    assert install().flavour == "open"
    assert "nvidia-kernel-dkms" not in states(root.status)


def test_where_none_builds_nothing_of_the_driver_stays(
    root: AptRoot, install: Install, repository: AptRepository, said: list[str]
) -> None:
    repository.packages.clear()
    repository.add(*debians(builds=False))
    repository.publish()
    with pytest.raises(AptProblem, match=r"open kernel module does not build .* proprietary .*older one"):
        install()
    assert not any(name.startswith(("nvidia", "lib")) for name in states(root.status))
    assert read_sets(root.path)["driver"]["whole"] is False  # type: ignore[index]
    remove_sets(None, said.append, root.path, 0.5)
    assert states(root.status) == {}


def test_a_run_that_was_killed_while_building_is_gone_on_with(
    root: AptRoot, install: Install, repository: AptRepository
) -> None:
    """The open module's package is left half-configured, and its build fails again."""

    def killed(line: str) -> None:
        if line.startswith("the open kernel module"):
            raise KeyboardInterrupt

    source = Repository("nv", repository.uri, f"file://{repository.key}", repository.fingerprint, "./")
    work = PackageSet(Wanted("driver", "f", "debian", repositories=(source,)), killed, root.path, 0.5)
    with pytest.raises(KeyboardInterrupt):
        install_driver(work, (OPEN, PROPRIETARY), USERLAND, (), KERNEL, False)
    assert states(root.status)["nvidia-open-kernel-dkms"][1] == "half-configured"

    assert install().flavour == "proprietary"
    assert "nvidia-open-kernel-dkms" not in states(root.status)
    assert all(state[1] == "installed" for state in states(root.status).values())


def test_a_driver_below_the_floor_is_not_begun_with(
    root: AptRoot, install: Install, repository: AptRepository
) -> None:
    repository.packages.clear()
    repository.add(*debians(version="535.261.03"))
    repository.publish()
    with pytest.raises(AptProblem, match=r"libcuda1 is 535\.261\.03-2 .* 550\.54\.14 or newer is needed"):
        install()
    assert states(root.status) == {}


# --- headers ----------------------------------------------------------------------------------------------


def offering(*names: str) -> Callable[[str], str | None]:
    return lambda name: "1" if name in names else None


def test_the_running_kernels_headers_are_taken(tmp_path: Path) -> None:
    own = f"linux-headers-{KERNEL}"
    assert choose_headers(KERNEL, offering(own), False, tmp_path) == [own]
    (tmp_path / "lib/modules" / KERNEL / "build").mkdir(parents=True)
    assert choose_headers(KERNEL, offering(), False, tmp_path) == [], "those that somebody put there do"


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("6.1.0-28-amd64", "amd64"),
        ("6.12.94+deb13-cloud-amd64", "cloud-amd64"),
        ("6.12.57+deb13-amd64", "amd64"),
        ("5.15.0-91-generic", "generic"),
        ("6.8.0-1019-aws", "aws"),
    ],
)
def test_headers_that_are_gone_mean_a_newer_kernel(kernel: str, kind: str, tmp_path: Path) -> None:
    newest = [f"linux-image-{kind}", f"linux-headers-{kind}"]
    assert choose_headers(kernel, offering(*newest), True, tmp_path) == newest
    with pytest.raises(AptProblem, match="sightline_reboot_allowed=true"):
        choose_headers(kernel, offering(*newest), False, tmp_path)
    with pytest.raises(AptProblem, match="run one of the distribution's kernels"):
        choose_headers(kernel, offering(), True, tmp_path)


def test_the_kernel_to_build_for(tmp_path: Path) -> None:
    with pytest.raises(AptProblem, match="brought no kernel"):
        kernel_to_build(tmp_path, KERNEL)
    for kernel in ("6.12.9+deb13-amd64", "6.12.117+deb13-amd64", "6.12.94+deb13-amd64"):
        (tmp_path / "lib/modules" / kernel / "build").mkdir(parents=True)
    assert kernel_to_build(tmp_path, KERNEL) == "6.12.117+deb13-amd64"
    (tmp_path / "lib/modules" / KERNEL / "build").mkdir(parents=True)
    assert kernel_to_build(tmp_path, KERNEL) == KERNEL


def test_named_headers_are_taken_as_they_are(
    root: AptRoot, install: Install, repository: AptRepository
) -> None:
    repository.add(
        headers("6.12.117+deb13-amd64"),
        Package("linux-headers-amd64", "1", "linux-headers-6.12.117+deb13-amd64"),
    )
    repository.publish()
    done = install(names=["linux-headers-amd64"])
    assert done.kernel == "6.12.117+deb13-amd64"
    assert done.reboot == "", "there is no card that would need it"


def test_the_log_of_a_build_is_read(tmp_path: Path) -> None:
    assert build_error(tmp_path) is None
    log = tmp_path / "var/lib/dkms/nvidia-current/550/build/make.log"
    log.parent.mkdir(parents=True)
    log.write_text("make: begin\n/var/lib/dkms/x/550/build/a.c:1:2: error: gone\nmake: *** [a.o] Error 1\n")
    assert build_error(tmp_path) == "a.c:1:2: error: gone"
    flags = "NV_CONFTEST_CFLAGS=-std=gnu11 -Werror=date-time -Wno-error -Wno-error=format\n"
    log.write_text(f"{flags}/var/lib/dkms/x/550/build/b.c:7:9: error: too few arguments\n")
    assert build_error(tmp_path) == "b.c:7:9: error: too few arguments"
    log.write_text(f"{flags}make: *** [b.o] Error 1\n")
    assert build_error(tmp_path) == "make: *** [b.o] Error 1"
    log.write_text("Killed\n")
    assert build_error(tmp_path) == "Killed"


# --- starting it ------------------------------------------------------------------------------------------


def test_why_a_host_has_to_start_anew(tmp_path: Path) -> None:
    host = fresh_metal(tmp_path)
    assert reboot_reason(tmp_path, KERNEL, KERNEL) == ""
    assert "and 6.1.0-28-amd64 runs" in reboot_reason(tmp_path, KERNEL, "6.12.117")
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    assert "nouveau" in reboot_reason(tmp_path, KERNEL, KERNEL)
    host.put("sys/module/nvidia/version", "550\n")
    assert reboot_reason(tmp_path, KERNEL, KERNEL) == "", "NVIDIA's module has its card already"
    shutil.rmtree(tmp_path / "sys/bus/pci/devices")
    shutil.copytree(RECORDINGS / "pci/no-gpu", tmp_path / "sys/bus/pci/devices")
    assert reboot_reason(tmp_path, KERNEL, "6.12.117") == ""


def test_a_kernel_that_came_later_has_no_module_yet(tmp_path: Path) -> None:
    host = fresh_metal(tmp_path)
    assert not is_built(tmp_path, KERNEL)
    host.put(f"lib/modules/{KERNEL}/updates/dkms/nvidia.ko.zst")
    assert is_built(tmp_path, KERNEL)
    assert not is_built(tmp_path, "6.1.0-29-amd64")
    host.bus("no-gpu")
    assert is_built(tmp_path, "6.1.0-29-amd64"), "there is no card that would need one"


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f'#!/bin/sh\necho {name} "$@" >> {folder}/called\n{text}\n')
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for modprobe, rmmod and systemctl, first in PATH, that note what they are asked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    program(folder, "modprobe", "exit 0")
    program(folder, "rmmod", "exit 1")
    program(folder, "systemctl", '[ "$1" = enable ]')
    return folder


def test_the_module_is_loaded_and_its_services_started(tmp_path: Path, programs: Path) -> None:
    host = fresh_metal(tmp_path / "host")
    done = start_driver(["nvidia-persistenced"], print, host.path)
    assert done == ["loaded the kernel module", "started nvidia-persistenced"]
    called = (programs / "called").read_text()
    assert "modprobe nvidia\n" in called
    assert "systemctl enable --now nvidia-persistenced\n" in called


def test_what_runs_already_is_not_started_again(tmp_path: Path, programs: Path) -> None:
    host = fresh_metal(tmp_path / "host")
    host.put("sys/module/nvidia/version", "550\n")
    program(programs, "systemctl", "exit 0")
    assert start_driver(["nvidia-persistenced"], print, host.path) == []


def test_a_module_that_the_kernel_refuses_is_told(tmp_path: Path, programs: Path) -> None:
    program(
        programs, "modprobe", "echo \"could not insert 'nvidia': Key was rejected by service\" >&2; exit 1"
    )
    with pytest.raises(AptProblem, match=r"loading the kernel module failed: .*Key was rejected.*dmesg"):
        start_driver([], print, fresh_metal(tmp_path / "host").path)


def test_nothing_is_loaded_without_a_card_or_in_a_container(tmp_path: Path, programs: Path) -> None:
    host = fresh_metal(tmp_path / "host")
    host.put("run/systemd/container", "systemd-nspawn\n")
    assert start_driver(["nvidia-persistenced"], print, host.path) == []
    host.remove("run/systemd/container")
    host.bus("no-gpu")
    assert start_driver(["nvidia-persistenced"], print, host.path) == []
    assert not (programs / "called").exists()


def test_a_module_in_use_is_told_at_the_end(tmp_path: Path, programs: Path) -> None:
    host = fresh_metal(tmp_path / "host")
    assert unload_driver(host.path) == []
    host.put("sys/module/nvidia/version", "550\n")
    assert "in use" in unload_driver(host.path)[0]
