"""Where things lie under a host's root folder, and what they are named after.

Everything is named after its content: an environment after its lock files, a model after its files, a release
after all of these and the way it is started. So nothing that runs is ever written over, and two hosts with
the same release id run the same thing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline.catalogue import files_fingerprint
from sightline.hostside import Contents, describe

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    """What starts an engine: its package in the checkout, and the paths that say 200: ready, alive.

    `role`: whose templates make its release. `shared`: what the package needs beside it, "" for nothing.
    """

    package: str
    ready: str
    alive: str = "/health"
    role: str = "vlm_server"
    shared: str = "serve/sightline_start"


SERVERS = {
    "sightline-serve": Server("serve/sightline_serve", "/ready", shared=""),
    "llamacpp": Server("serve/sightline_llamacpp", "/health"),
    "localai": Server("serve/sightline_localai", "/readyz", "/healthz"),
    "vllm": Server("serve/sightline_vllm", "/health"),
    "gateway": Server("serve/sightline_gateway", "/ready", role="gateway"),
}

KIT_FOLDERS = ("roles/vlm_server/templates", "roles/service/templates")
"""What decides how a server runs besides its package and inputs; a change in either is a new release."""

CONFIGURED_INDEX = ""
SHORT = 12
"""Hex digits of a sha256 that name a folder: 48 bits, far more than one host has folders."""


@dataclass(frozen=True)
class LockFile:
    """A lock file of the release: absolute path on the controller, and how to install it.

    `torch`: it holds PyTorch or what that loads, and the role pytorch installs it.
    """

    name: str
    file: str
    sha256: str
    torch: bool
    no_deps: bool
    indexes: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Absolute paths on the host and the names of what lies there.

    `model_source`: the folder of this checkout that holds the model's files; "" for one of a hub.
    """

    root: str
    release_id: str
    environment: str
    environment_digest: str
    locks: tuple[LockFile, ...]
    model: str
    model_fingerprint: str
    model_source: str

    def to_dict(self) -> dict[str, Any]:
        """Return the layout as plain JSON values, with the paths that follow from the others."""
        plain = asdict(self) | {
            "release": f"{self.root}/releases/{self.release_id}",
            "current": f"{self.root}/current",
            "key": f"{self.root}/secrets/api_key",
            "log": f"{self.root}/log",
        }
        return json.loads(json.dumps(plain))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Indexes:
    """Where packages come from, in order: URLs, `find-links:FOLDER`, or "" for what pip is configured for.

    `torch` are asked before the others for PyTorch and CUDA's libraries, and PyTorch's own index after them.
    """

    packages: tuple[str, ...] = (CONFIGURED_INDEX,)
    torch: tuple[str, ...] = ()


def lay_out(
    root: str,
    model: Mapping[str, Any],
    release: Mapping[str, Any],
    start: Mapping[str, Any],
    indexes: Indexes | None = None,
    base: Mapping[str, str] | None = None,
) -> Layout:
    """Work out the layout of `model` on `release` under `root`.

    `start` is everything that decides how the server is started (engine, port, options ...): any JSON.
    `base` is the Python that the environment stands on, if it brings PyTorch; another one is another
    environment. Raises OSError or FolderProblem when the kit's own files cannot be read.
    """
    locks = read_locks(release, indexes or Indexes())
    lock_digests = [lock.sha256 for lock in locks]
    environment_digest = digest([lock_digests, dict(base)] if base else lock_digests)
    model_fingerprint = files_fingerprint(dict(model))
    source = model["source"].get("path")
    # The plan refuses an engine that has none.
    server = SERVERS.get(str(start.get("engine")))
    folders = kit_folders(server) if server else KIT_FOLDERS
    kit = [describe(Contents(CHECKOUT / folder))["fingerprint"] for folder in folders]
    release_id = digest([environment_digest, model["name"], model_fingerprint, kit, start])[:SHORT]
    return Layout(
        root=root,
        release_id=release_id,
        environment=f"{root}/env/{release['name']}-{environment_digest[:SHORT]}",
        environment_digest=environment_digest,
        locks=locks,
        model=f"{root}/models/{model['name']}-{model_fingerprint[:SHORT]}",
        model_fingerprint=model_fingerprint,
        model_source=str(CHECKOUT / source) if source else "",
    )


def kit_folders(server: Server) -> tuple[str, ...]:
    """The server's package, and what decides how it runs besides."""
    code = [server.package, *([server.shared] if server.shared else [])]
    return (*code, f"roles/{server.role}/templates", *KIT_FOLDERS[1:])


def read_locks(release: Mapping[str, Any], indexes: Indexes) -> tuple[LockFile, ...]:
    """The release's lock files in order, pip's own first.

    Files called torch... are installed without dependencies and from PyTorch's index if no other has such
    a build: that keeps gigabytes of CUDA packages off a machine without a GPU. Where they hold CUDA, the
    other files name packages that need torch, so they are installed without dependencies too; and so is a
    lock that leaves out what its packages ask for (NAME.without.txt beside it).
    """
    of_torch = (*indexes.torch, *indexes.packages, *_some(release.get("torch_index")))
    locks = []
    for path in ("requirements/pip.lock.txt", *release["lock_files"]):
        file = CHECKOUT / path
        name = file.name.removesuffix(".lock.txt")
        torch = name.startswith("torch")
        partial = file.with_name(f"{name}.without.txt").is_file()
        no_deps = torch or partial or release["accelerator"] == "cuda"
        sources = tuple(dict.fromkeys(of_torch if torch else indexes.packages))
        locks.append(LockFile(name, str(file), _sha256(file.read_bytes()), torch, no_deps, sources))
    return tuple(locks)


def libraries(locks: Sequence[LockFile]) -> dict[str, str]:
    """The versions of NVIDIA's libraries in the locks, by the names of their wheels."""
    pins = [
        re.findall(r"^(nvidia-[\w-]+)==([^\s;\\]+)", Path(lock.file).read_text(), re.MULTILINE)
        for lock in locks
    ]
    return {name: version for found in pins for name, version in found}


def digest(value: Any) -> str:
    """sha256 over the canonical JSON of `value`."""
    return _sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def holds(installed: Mapping[str, str], locks: Sequence[LockFile]) -> bool:
    """Whether an environment's stamp (lock name -> sha256) has every one of `locks`."""
    return all(installed.get(lock.name) == lock.sha256 for lock in locks)


def _some(value: Any) -> tuple[str, ...]:
    return (str(value),) if value else ()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
