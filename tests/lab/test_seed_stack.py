"""The seed stack, installed for real on a fresh Debian 13: Python 3.12, torch 2.5.1 for CUDA 12.4, cuDNN 9.1.

Debian 13 has no Python 3.12, so uv brings one: from its own source where this machine reaches that, else one
that is packed here from a Python 3.12 of this machine. About 3 GB are fetched, 8 GB written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sightline_host.managed_python import first_answer

from sightline.catalogue import load_release
from sightline.pythons import addresses, locked_builds
from tests.lab.deploying import Deployer, copy_in, recap
from tests.lab.host import Host, Lab
from tests.lab.place import CHECKOUT
from tests.unit.relocatable_python import listed, pack, python_to_pack

pytestmark = pytest.mark.slow

ROOT = "/opt/sightline"
SECOND = "/opt/second"
IMAGE = "/opt/venvs/image"
IMPORTS = CHECKOUT / "plugins/module_utils/sightline_host/imports.py"


@dataclass(frozen=True)
class Seeded:
    """A host, what deploys to it, and the list of Pythons for uv; "" for uv's own.

    `packages`: those of the distribution that were there before.
    """

    host: Host
    deployer: Deployer
    listed: str
    packages: str

    def deploy(self, **settings: object) -> str:
        """Run site.yml with the seed stack on the CPU, and see it end proven. Returns its output."""
        seed = {"release": "seed-cu124", "device": "cpu", "python_list": self.listed}
        given = {f"sightline_{name}": value for name, value in {**seed, **settings}.items()}
        ended = self.deployer.play(self.host, "site.yml", settings=given)
        assert ended.returncode == 0
        latest = self.deployer.clone / f".sightline/reports/{self.host.name}/latest/report.json"
        assert json.loads(latest.read_text())["verdict"]["outcome"] == "proven"
        return ended.stdout

    @property
    def record(self) -> dict[str, str]:
        """What the deployment's record says of the environment."""
        told = json.loads((self.deployer.clone / f".sightline/deployments/{self.host.name}.json").read_text())
        return dict(told["environment"])

    def python(self, code: str) -> str:
        """What the deployed environment's Python prints."""
        return self.host.says(f"cd / && {self.record['path']}/bin/python -I -c '{code}'")


@pytest.fixture(scope="module")
def pythons(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A folder with a packed Python 3.12 for the host; None where uv's own source can be reached instead."""
    if first_answer(addresses(locked_builds()["3.12"], os.uname().machine, ""))["reachable"]:
        return None
    source = python_to_pack("3.12")
    if source is None:
        pytest.skip(
            "uv's source is not reached from here, and there is no Python 3.12 under ~/.pyenv to pack"
        )
    folder = tmp_path_factory.mktemp("pythons")
    sha256 = pack(source, folder / "python.tar.gz")
    (folder / "list.json").write_text(listed(source.name, "file:///srv/pythons/python.tar.gz", sha256))
    return folder


@pytest.fixture(scope="module")
def seeded(lab: Lab, pythons: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    deployer = Deployer.into(tmp_path_factory.mktemp("clone"), lab)
    host = lab.up("seed", "debian13", on_disk=True)
    if pythons is not None:
        copy_in(host, pythons, "/srv/pythons")
    yield Seeded(host, deployer, "file:///srv/pythons/list.json" if pythons else "", packages_of(host))
    lab.down("seed")


def packages_of(host: Host) -> str:
    return host.says("dpkg-query -W -f '${Package} ${Version} ${Status}\\n' | sort")


@pytest.fixture(scope="module")
def deployed(seeded: Seeded) -> Seeded:
    seeded.deploy()
    return seeded


def test_the_stack_is_the_releases_and_the_canary_is_proven_on_the_hosts_cpu(deployed: Seeded) -> None:
    said = deployed.python(
        "import platform, torch, transformers; "
        "print(platform.python_version_tuple()[:2], torch.__version__, torch.version.cuda, "
        "transformers.__version__)"
    )
    assert said == "('3', '12') 2.5.1+cu124 12.4 4.46.3"


def test_every_package_can_be_imported_unsloth_only_with_a_gpu(deployed: Seeded) -> None:
    """Of the release's list; the host has no GPU, and Unsloth says so."""
    copy_in(deployed.host, IMPORTS, "/srv/imports.py")
    listed = load_release("seed-cu124")["imports"]
    plain = [one["module"] for one in listed if not one.get("needs_gpu")]
    gpu = [word for one in listed if one.get("needs_gpu") for word in ("--gpu", one["module"])]
    python = f"{deployed.record['path']}/bin/python"
    ended = deployed.host.run(
        f"cd / && {python} -I /srv/imports.py --json {' '.join([*plain, *gpu])}", timeout=600
    )
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {one["module"]: one["trouble"] for one in found if not one["right"]} == {}
    assert len(found) == len(listed)
    assert [one["module"] for one in found if one["trouble"]] == ["unsloth"]


def test_torch_loads_the_cudnn_of_the_lock(deployed: Seeded) -> None:
    said = deployed.python(
        "import torch; print(torch.backends.cudnn.version()); "
        'print([line.split()[-1] for line in open("/proc/self/maps") if "libcudnn.so.9" in line][0])'
    )
    version, path = said.split()
    assert version == "90100"
    assert path.startswith(f"{deployed.record['path']}/lib/python3.12/site-packages/nvidia/cudnn/lib/")


def test_the_python_came_by_uv_and_the_systems_was_left_alone(deployed: Seeded) -> None:
    assert deployed.python("import sys; print(sys.base_prefix)").startswith(f"{ROOT}/python/cpython-3.12")
    assert deployed.host.says("python3 -c 'import sys; print(sys.version_info[:2])'") == "(3, 13)"
    assert deployed.host.run("command -v python3.12 uv").returncode != 0
    # What the host lacked to run uv came as a package, and is written down to be removed.
    assert "python3.13-venv" in deployed.host.says("cat /var/lib/sightline/host.json")


def test_the_wheels_are_gone_once_they_are_installed(deployed: Seeded) -> None:
    left = deployed.host.says(f"du -sm {ROOT}/tmp | cut -f1")
    assert int(left) < 100


def test_a_second_run_changes_nothing(deployed: Seeded) -> None:
    assert recap(deployed.deploy(), deployed.host)["changed"] == 0


def test_an_image_with_this_pytorch_is_built_on_and_only_what_it_lacks_is_fetched(deployed: Seeded) -> None:
    """The first deployment's environment stands for what a rented image brings; two packages are taken away.

    Afterwards the image is as it was, and nothing of PyTorch was fetched a second time.
    """
    host = deployed.host
    own = deployed.record["path"]
    host.says(
        f"systemctl stop sightline-vlm; {own}/bin/python -m pip uninstall -q -y fastapi prometheus-client"
    )
    host.says(f"mkdir -p /opt/venvs && ln -s {own} {IMAGE}")
    listing = f"find {own}/lib -type f ! -name '*.pyc' -printf '%P %s %T@\\n' | sort | sha256sum"
    before = host.says(listing)

    said = deployed.deploy(root=SECOND, service="sightline-second", port=8700, python_env="adopt")

    assert f"built on {IMAGE}/bin/python3.12" in said
    assert host.says(listing) == before
    assert deployed.record["adopted"] == f"{IMAGE}/lib/python3.12/site-packages"
    folder = deployed.record["path"]
    stamp = json.loads(host.says(f"cat {folder}/.sightline.json"))
    assert {"torch", "nvidia-cudnn-cu12", "transformers"} <= stamp["brought"].keys()
    assert stamp["brought"].keys().isdisjoint({"fastapi", "prometheus-client"})
    added = host.says(f"ls {folder}/lib/python3.12/site-packages")
    assert "fastapi" in added
    assert "torch" not in added.split()
    assert int(host.says(f"du -sm {folder} | cut -f1")) < 100
    assert deployed.python("import torch; print(torch.backends.cudnn.version())") == "90100"


def test_uninstalling_takes_away_what_came_for_the_python(deployed: Seeded) -> None:
    assert packages_of(deployed.host) != deployed.packages
    ended = deployed.deployer.play(deployed.host, "playbooks/uninstall.yml")
    assert ended.returncode == 0
    assert packages_of(deployed.host) == deployed.packages
    assert deployed.host.run(f"test -e {SECOND}").returncode != 0
