"""Models on real hosts: a fleet that fetches once, a broken connection, a stand-in of the 90B's sizes."""

from __future__ import annotations

import hashlib
import json
import mmap
import random
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.ansible.clones import plain_environment
from tests.lab import network
from tests.lab.deploying import Deployer, recap
from tests.lab.host import Host, Lab
from tests.stand_ins.hub import Hub

FILES = {
    "model-00001.bin": random.Random(1).randbytes(24 << 20),
    "model-00002.bin": random.Random(2).randbytes(12 << 20),
    "config.json": b'{"model_type": "made-up"}',
}
ROOT = "/opt/sightline"


@pytest.fixture(scope="module")
def deployer(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    made = Deployer.into(tmp_path_factory.mktemp("clone"), lab)
    write_entry(made.clone, "made-up", {path: (len(data), digest(data)) for path, data in FILES.items()})
    return made


def digest(data: bytes | mmap.mmap) -> str:
    return hashlib.sha256(data).hexdigest()


def write_entry(clone: Path, name: str, files: Mapping[str, tuple[int, str]]) -> None:
    """A complete entry of a made-up model, like that of a real one in all but its files (size, sha256)."""
    entry = yaml.safe_load((clone / "catalogue/models/qwen2.5-vl-7b.yml").read_text())
    entry |= {"name": name, "source": {"kind": "hub", "repo": "owner/model", "commit": "c" * 40}}
    entry["files"] = [
        {"path": path, "size": size, "sha256": sha256, "role": "weights" if size > 1000 else "support"}
        for path, (size, sha256) in files.items()
    ]
    (clone / f"catalogue/models/{name}.yml").write_text(yaml.safe_dump(entry))


@contextmanager
def upstream(lab: Lab, files: Mapping[str, bytes], rate: float) -> Iterator[Hub]:
    """A hub at this machine's address in the lab; `rate` in bytes a second for each connection."""
    there = network.existing(lab.place)
    assert there is not None
    with Hub(files, host=there.gateway, trusted=False) as hub:
        hub.faults.rate = rate
        yield hub


def settings(hub: Hub, **more: object) -> dict[str, object]:
    return {"sightline_model": "made-up", "sightline_model_sources": [hub.url], **more}


def holds(host: Host, files: Mapping[str, str]) -> bool:
    """Whether the host's own sha256sum finds every file as it should be."""
    sums = host.says(f"cd {ROOT}/models/made-up-* && sha256sum {' '.join(files)}")
    return {line.split()[1]: line.split()[0] for line in sums.splitlines()} == dict(files)


def test_a_fleet_takes_from_upstream_the_bytes_of_one(lab: Lab, deployer: Deployer) -> None:
    hosts = [lab.up(f"fleet{number}", "debian12") for number in (1, 2, 3)]
    total = sum(map(len, FILES.values()))
    wanted = {path: digest(data) for path, data in FILES.items()}
    try:
        with upstream(lab, FILES, rate=1e6) as hub:
            told = settings(hub, sightline_model_fleet="fleet1")
            ended = deployer.play(hosts, "site.yml", "--tags", "fetch", settings=told)
            assert ended.returncode == 0
            assert hub.sent <= 1.01 * total
            assert "fleet2 | mirror=" not in ended.stdout, "with one source nothing is to be measured"
            for host in hosts:
                assert holds(host, wanted)
                assert "sightline_fetch" not in host.says("ps -eo args"), "it is given to nobody any more"
            again = deployer.play(hosts, "site.yml", "--tags", "fetch", settings=told)
            assert [recap(again.stdout, host)["changed"] for host in hosts] == [0, 0, 0]

            # A host that comes later, or lost a file, has it from the one that has it.
            hosts[2].says(f"rm {ROOT}/models/made-up-*/model-00002.bin")
            assert deployer.play(hosts, "site.yml", "--tags", "fetch", settings=told).returncode == 0
            assert holds(hosts[2], wanted)
            assert hub.sent <= 1.01 * total
    finally:
        lab.down(*(host.name for host in hosts))


@pytest.mark.slow
def test_a_connection_that_breaks_costs_nothing_and_the_model_is_found_later(
    lab: Lab, deployer: Deployer, fresh_host: Callable[..., Host]
) -> None:
    host = fresh_host("debian12")
    with upstream(lab, FILES, rate=200_000) as hub:
        command = deployer.command([host], "site.yml", "--tags", "fetch", "-e", json.dumps(settings(hub)))
        run = subprocess.Popen(
            command, cwd=deployer.clone, env=plain_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(line)
            if re.search(r"MB of 37\.7 MB, ", line):
                # Every session there is, Ansible's too, and for a while nobody takes new ones.
                cut = "sleep 1; systemctl stop ssh; pkill -KILL -f '^sshd: '; sleep 8; systemctl start ssh"
                host.says(f"systemd-run -q sh -c {shlex.quote(cut)}")
                break
        lines.append(run.stdout.read())
        print("".join(lines))
        assert run.wait() == 0
        assert "the connection broke; the fetch goes on there" in "".join(lines)
        assert holds(host, {path: digest(data) for path, data in FILES.items()})
        sent = hub.sent
        plan = deployer.play(host, "site.yml", "--check", settings=settings(hub, sightline_release="cpu"))
        assert plan.returncode == 0
        assert re.search(r"\| +model +keep +every file is there", plan.stdout), "staged, and found verified"
        assert hub.sent == sent


SHARDS = {
    "model-00001-of-00010.safetensors": 4_947_107_668,
    "model-00010-of-00010.safetensors": 4_263_159_971,
}
"""Of catalogue/models/llama-3.2-90b-vision-bnb-4bit.yml."""


@pytest.mark.slow
@pytest.mark.long
def test_shards_of_the_90bs_real_sizes_are_planned_shown_and_staged(
    lab: Lab, deployer: Deployer, fresh_host: Callable[..., Host], tmp_path: Path
) -> None:
    """Sparse where they come from; on the host they take 9.2 GB of this machine's disk."""
    host = fresh_host("debian12", on_disk=True)
    files: dict[str, bytes | mmap.mmap] = {"config.json": b'{"model_type": "mllama"}'}
    for path, size in SHARDS.items():
        with (tmp_path / path).open("wb") as sparse:
            # A safetensors head (of one tensor that fills the file), else the stamp is refused.
            head = json.dumps({"w": {"dtype": "U8", "shape": [size - 128], "data_offsets": [0, size - 128]}})
            sparse.write((120).to_bytes(8, "little") + head.encode().ljust(120))
            sparse.truncate(size)
        with (tmp_path / path).open("rb") as sparse:
            files[path] = mmap.mmap(sparse.fileno(), 0, access=mmap.ACCESS_READ)
    sums = {path: digest(data) for path, data in files.items()}
    write_entry(deployer.clone, "made-up", {path: (len(data), sums[path]) for path, data in files.items()})
    with upstream(lab, files, rate=1e12) as hub:  # type: ignore[arg-type]
        ended = deployer.play(host, "site.yml", "--tags", "fetch", settings=settings(hub))
    assert ended.returncode == 0
    assert "to fetch: 9.21 GB" in ended.stdout
    assert re.search(r"GB of 9\.21 GB, [\d.]+ MB/s, \d:\d\d left", ended.stdout)
    assert holds(host, sums)
