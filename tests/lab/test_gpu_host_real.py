"""Debian 13's own driver and CUDA toolkit on a real host: fetched, built, used, and taken away again.

About 2.3 GB are fetched and 7 GB written; the kernel module is built for Debian's kernel, and not loaded: the
kernel that runs is that of the machine beneath.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.lab import snapshots
from tests.lab.deploying import Deployer, recap
from tests.lab.host import Host, Lab

pytestmark = pytest.mark.slow

WISHES = {
    "sightline_driver": "install",
    "sightline_driver_headers": ["linux-headers-amd64"],
    "sightline_cuda": "12.4",
}
KERNEL_CODE = r"""
#include <cstdio>
__global__ void twice(float *x) { x[blockIdx.x * blockDim.x + threadIdx.x] *= 2; }
int main() { int n = 0; cudaError_t e = cudaGetDeviceCount(&n); printf("%d %s\n", n, cudaGetErrorName(e)); }
"""
ASK_CUDNN = (
    "import ctypes; c = ctypes.CDLL('libcudnn.so.9'); c.cudnnGetVersion.restype = ctypes.c_size_t; "
    "print(c.cudnnGetVersion())"
)


class Bare:
    """The host, and what was on it before anything was installed."""

    def __init__(self, host: Host, deployer: Deployer) -> None:
        self.host, self.deployer = host, deployer
        self.system, self.files = snapshots.of_system(host), snapshots.of_files(host)


@pytest.fixture(scope="module")
def bare(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    host = lab.up("realgpu", "debian13", on_disk=True)
    yield Bare(host, Deployer.into(tmp_path_factory.mktemp("clone"), lab))
    lab.down("realgpu")


@pytest.fixture(scope="module")
def installed(bare: Bare) -> Bare:
    ended = bare.deployer.play(bare.host, "site.yml", "--tags", "host", settings=WISHES)
    assert ended.returncode == 0
    told = [line for line in ended.stdout.splitlines() if "kernel module" in line]
    print("\n".join(told))
    return bare


def test_dkms_built_the_module_against_real_headers(installed: Bare) -> None:
    host = installed.host
    (line,) = host.says("dkms status").splitlines()
    found = re.fullmatch(r"(nvidia-current(?:-open)?)/550\.163\.01, (\S+), x86_64: installed.*", line)
    assert found, line
    folder = f"/lib/modules/{found[2]}/updates/dkms"
    names = host.says(f"cd {folder} && ls").split()
    module = next(name for name in names if re.fullmatch(r"nvidia-current(?:-open)?\.ko.*", name))
    assert host.says(f"modinfo -F version {folder}/{module}") == "550.163.01"
    assert found[2] in host.says(f"modinfo -F vermagic {folder}/{module}")


def test_why_the_open_module_was_not_taken_is_told(installed: Bare) -> None:
    """Where it builds, it was taken; where not, the first error of its build stands in the record."""
    host = installed.host
    notes = json.loads(host.says("cat /var/lib/sightline/host.json"))["sets"]["driver"]["notes"]
    assert re.search(r"kernel module 550\.163\.01 was built for \S+", notes[-1])
    if "proprietary" in notes[-1]:
        assert re.search(r"the open kernel module does not build on \S+: .*error", notes[0])
        assert host.run("dpkg -s nvidia-open-kernel-dkms").returncode != 0


def test_the_driver_without_a_card_says_so(installed: Bare) -> None:
    ended = installed.host.run("nvidia-smi")
    assert ended.returncode == 9
    assert "couldn't communicate with the NVIDIA driver" in ended.stdout


def test_nvcc_compiles(installed: Bare) -> None:
    host = installed.host
    assert "release 12.4, V12.4" in host.says("bash -lc '$CUDA_HOME/bin/nvcc --version'")
    host.says(f"cat > /tmp/twice.cu <<'END'\n{KERNEL_CODE}\nEND")
    host.says("cd /tmp && nvcc -arch=sm_90 twice.cu -o twice && cuobjdump --list-elf twice | grep sm_90")
    # There is no device; that the runtime says so shows that it was linked and runs.
    assert re.match(r"0 cudaError(NoDevice|InsufficientDriver|Unknown)", host.says("/tmp/twice"))
    host.says("rm /tmp/twice*")


def test_the_driver_is_held_and_left_alone(installed: Bare) -> None:
    held = set(installed.host.says("apt-mark showhold").split())
    assert {"nvidia-smi", "libcuda1", "nvidia-persistenced", "nvidia-cuda-toolkit"} <= held
    assert not {"gcc-14", "linux-headers-amd64", "perl"} & held
    assert "nouveau" in installed.host.says("modprobe --showconfig | grep '^blacklist nouveau'")


def test_a_second_run_changes_nothing(installed: Bare) -> None:
    ended = installed.deployer.play(installed.host, "site.yml", "--tags", "host", settings=WISHES)
    assert ended.returncode == 0
    assert recap(ended.stdout, installed.host)["changed"] == 0


def test_cudnn_is_found_by_the_loader(installed: Bare) -> None:
    """The wheel, by the role alone: python3-venv is what it needs."""
    host, deployer = installed.host, installed.deployer
    (deployer.clone / "cudnn.yml").write_text(
        '[{"hosts": "sightline", "gather_facts": false, "roles": ["cudnn"]}]'
    )
    locks = [
        {"name": name, "file": str(deployer.clone / f"requirements/{name}.lock.txt")}
        for name in ("pip", "torch-cu124-cudnn")
    ]
    host.says("apt-get install -q -y --no-install-recommends python3-venv")
    words = {"cudnn_locks": locks, "ansible_remote_tmp": "/tmp/ansible", "ansible_async_dir": "/tmp/jobs"}
    ended = deployer.play(host, "cudnn.yml", settings=words)
    assert ended.returncode == 0
    assert host.says(f'python3 -c "{ASK_CUDNN}"') == "90100"
    assert deployer.play(host, "cudnn.yml", settings=words | {"cudnn_state": "absent"}).returncode == 0
    assert host.run(f'python3 -c "{ASK_CUDNN}"').returncode != 0
    host.says(
        "apt-get purge -q -y python3-venv '^python3\\.[0-9]+-venv$' python3-pip-whl python3-setuptools-whl"
    )


def test_at_the_end_the_host_is_as_it_was(installed: Bare) -> None:
    ended = installed.deployer.play(installed.host, "playbooks/uninstall.yml")
    assert ended.returncode == 0
    after = snapshots.of_system(installed.host)
    left = snapshots.of_files(installed.host)
    print("\n".join(sorted(left - installed.files)))
    assert snapshots.differences(installed.system, after) == {}
    assert installed.files - left == set()
    assert left - installed.files == set()
