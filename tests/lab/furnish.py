"""Makes a copy of a base tree into one particular host: name, keys, people, what this machine hands on."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.lab.problems import LabError

_SSHD = """# Written by scripts/lab.
PermitRootLogin {root}
PasswordAuthentication no
"""


@dataclass(frozen=True)
class Furniture:
    """What the host is given. `user` logs in with `public_key`; `host_key` is a private key's text."""

    name: str
    user: str
    sudo: bool
    public_key: str
    host_key: str
    nameservers: str
    pip_conf: str
    bundle: bool


def furnish(root: Path, given: Furniture) -> None:
    """Write it all below `root`, the host's root folder. Raises LabError."""
    _write(root, "etc/hostname", f"{given.name}\n")
    _write(root, "etc/hosts", f"127.0.0.1 localhost {given.name}\n::1 localhost ip6-localhost\n")
    _write(root, "etc/resolv.conf", given.nameservers)
    # With an identity from the start, systemd does not take this for the first boot ever and ask.
    _write(root, "etc/machine-id", f"{uuid.uuid4().hex}\n")
    _write(root, "etc/ssh/ssh_host_ed25519_key", given.host_key, 0o600)
    root_may = "prohibit-password" if given.user == "root" else "no"
    _write(root, "etc/ssh/sshd_config.d/lab.conf", _SSHD.format(root=root_may))
    if given.user != "root":
        _in(root, "useradd", "--create-home", "--shell", "/bin/bash", given.user)
        if given.sudo:
            _write(root, f"etc/sudoers.d/{given.user}", f"{given.user} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    _write_keys(root, given)
    if given.pip_conf:
        _write(root, "etc/pip.conf", given.pip_conf)
    if given.bundle:
        # For programs that bring authorities of their own, such as uv.
        _write(root, "etc/environment", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n")


def nameservers(root: Path = Path("/")) -> str:
    """This machine's resolv.conf; where that points to a resolver on this machine, the one behind it."""
    told = (root / "etc/resolv.conf").read_text()
    behind = root / "run/systemd/resolve/resolv.conf"
    if "nameserver 127." in told and behind.exists():
        return behind.read_text()
    return told


def _write_keys(root: Path, given: Furniture) -> None:
    home = "root" if given.user == "root" else f"home/{given.user}"
    _write(root, f"{home}/.ssh/authorized_keys", given.public_key, 0o600)
    (root / home / ".ssh").chmod(0o700)
    owner = (root / home).stat()
    for path in (root / home / ".ssh", root / home / ".ssh/authorized_keys"):
        shutil.chown(path, owner.st_uid, owner.st_gid)


def _write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # it may be a link to somewhere outside the tree
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
        opened.write(text)


def _in(root: Path, *command: str) -> None:
    ended = subprocess.run(["chroot", str(root), *command], capture_output=True, text=True)
    if ended.returncode != 0:
        raise LabError(f"{command[0]} failed in the new host: {ended.stderr.strip()}")
