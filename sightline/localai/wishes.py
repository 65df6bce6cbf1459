"""What is wished of LocalAI, where it comes from and by what it is known to be the right one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sightline.layout import SHORT, digest

RELEASES = "https://github.com/mudler/LocalAI/releases/download"
BACKENDS = "oci://quay.io/go-skynet/local-ai-backends"
BACKEND_NAME = "cpu-llama-cpp"
ASSETS = {"x86_64": "linux-amd64", "aarch64": "linux-arm64"}


@dataclass(frozen=True)
class Wishes:
    """The settings sightline_localai_*, with their defaults filled in.

    `binary`: https address or file of the controller; `backend`: oci:// address, or an image's archive on the
    controller; `image`: only where it runs as a container. A sha256 is "" where nobody gave one; of a file of
    the controller it is that file's.
    """

    version: str
    runs_as: str
    asset: str
    binary: str
    binary_sha256: str
    backend: str
    backend_sha256: str
    image: str

    @property
    def folder(self) -> str:
        """The name of the folder that holds exactly this."""
        return f"{self.version}-{digest(asdict(self))[:SHORT]}"

    @property
    def checksums(self) -> str:
        """Where LocalAI publishes the sums of this version."""
        return f"{RELEASES}/{self.version}/LocalAI-{self.version}-checksums.txt"

    @property
    def from_controller(self) -> tuple[str, ...]:
        """The files that the controller has to send."""
        return tuple(path for path in (self.binary, self.backend) if path and "://" not in path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with what follows from them."""
        return asdict(self) | {"folder": self.folder, "checksums": self.checksums}


def read_wishes(settings: Mapping[str, Any], arch: str) -> Wishes:
    """The wishes for a host of `arch` (as uname -m says it). Raises OSError."""

    def text(name: str) -> str:
        return str(settings.get(name) or "").strip()

    version, container = text("version"), text("as") == "container"
    asset = f"local-ai-{version}-{ASSETS.get(arch, arch)}"
    binary = "" if container else text("binary") or f"{RELEASES}/{version}/{asset}"
    backend = text("backend") or f"{BACKENDS}:{version}-{BACKEND_NAME}"
    return Wishes(
        version=version,
        runs_as=text("as"),
        asset=asset,
        binary=binary,
        binary_sha256=text("binary_sha256").lower() or sha256_of(binary),
        backend=backend,
        backend_sha256=text("backend_sha256").lower() or sha256_of(backend),
        image=text("image") if container else "",
    )


def sha256_of(path: str) -> str:
    """ "" where there is no such file of the controller."""
    if not path or "://" in path or not Path(path).is_file():
        return ""
    status = Path(path).stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _sha256(path: str, size: int, changed: int) -> str:
    """Read once a plan, which asks several times: a backend has hundreds of megabytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
