"""Install NVIDIA's driver from packages, with the kernel module built here by DKMS, and load it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .apt import AptProblem, Say
from .package_set import PackageSet, version_numbers
from .pci import read_pci
from .reading import inside, matching, text_of
from .surroundings import read_container

MODULES = ("nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia")
"""The driver's kernel modules, those first that use the others."""

DKMS_KEYS = ("var/lib/dkms/mok.key", "var/lib/dkms/mok.pub")
"""What DKMS makes to sign modules with, and does not take away when it is purged."""


@dataclass(frozen=True)
class Flavour:
    """A kernel module to try: `open` or `proprietary`, and the packages that bring it."""

    name: str
    packages: tuple[str, ...]


@dataclass
class Installed:
    """What was installed. `reboot` says why the host has to start anew, "" where it need not."""

    flavour: str
    version: str
    kernel: str
    told: list[str] = field(default_factory=list)
    reboot: str = ""


def install_driver(
    work: PackageSet,
    flavours: Sequence[Flavour],
    userland: Sequence[str],
    headers: Sequence[str],
    kernel: str,
    may_reboot: bool,
) -> Installed:
    """Install headers, the first of `flavours` that builds, and `userland`; `kernel` is the running release.

    Without `headers` those of the running kernel are taken, or where no source has them any more those of
    the newest kernel, with that kernel, if the host may be rebooted. Raises AptProblem.
    """
    work.open()
    keys = [name for name in DKMS_KEYS if not os.path.exists(work.root / name)]
    wanted = list(headers) or choose_headers(kernel, work.apt.candidate, may_reboot, work.root)
    work.add(["dkms", *wanted])
    target = kernel_to_build(work.root, kernel)
    told = []
    for flavour in flavours:
        work.say(f"building the {flavour.name} kernel module for {target}; this takes minutes")
        reason = _try(work, flavour, target)
        if reason is None:
            version = _built_version(work.root, target)
            told.append(f"the {flavour.name} kernel module {version} was built for {target}")
            break
        told.append(f"the {flavour.name} kernel module does not build on {target}: {reason}")
        work.say(told[-1])
        work.drop(flavour.packages)
    else:
        raise AptProblem(
            f"{'; '.join(told)}. Run a kernel that this driver builds on (an older one of the "
            "distribution's), or take a newer driver from another source (sightline_driver_source)"
        )
    work.add(userland)
    for name in keys:
        if os.path.exists(work.root / name):
            work.note_file(Path(name))
    # What nouveau was kept from takes effect at the next start only if the initramfs knows it too.
    work.close(told, initramfs=read_container(work.root) is None)
    return Installed(flavour.name, version, target, told, reboot_reason(work.root, kernel, target))


def choose_headers(
    kernel: str, candidate: Callable[[str], str | None], may_reboot: bool, root: Path
) -> list[str]:
    """Packages with the headers to build with. Raises AptProblem where there are none for this kernel."""
    own = f"linux-headers-{kernel}"
    if os.path.exists(root / "lib/modules" / kernel / "build") or candidate(own):
        return [own] if candidate(own) else []
    # "6.12.94+deb13-cloud-amd64" -> "cloud-amd64", "5.15.0-91-generic" -> "generic".
    kind = re.sub(r"^[\d.]+(?:\+\w+)?(?:-\d+)?-", "", kernel)
    newest = [f"linux-image-{kind}", f"linux-headers-{kind}"]
    if not all(candidate(name) for name in newest):
        raise AptProblem(
            f"no package source has {own}, the headers of the running kernel, nor {newest[1]}: install the "
            "headers that this kernel came with, or run one of the distribution's kernels"
        )
    if not may_reboot:
        raise AptProblem(
            f"no package source has {own} any more, since a newer kernel took its place: upgrade the kernel "
            f"({newest[0]}) and reboot, or allow that (-e sightline_reboot_allowed=true)"
        )
    return newest


def kernel_to_build(root: Path, kernel: str) -> str:
    """The running kernel where its headers are there, else the newest that has some. Raises AptProblem."""
    if os.path.exists(root / "lib/modules" / kernel / "build"):
        return kernel
    found = [path.parent.name for path in matching(root, "lib/modules/*/build") if os.path.exists(path)]
    if not found:
        raise AptProblem("the headers' packages brought no kernel to build for: see /lib/modules/*/build")
    return max(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def built_modules(root: Path, kernel: str) -> list[str]:
    """Files of NVIDIA's module that DKMS has put there for `kernel`."""
    return [inside(root, path) for path in matching(root, f"lib/modules/{kernel}/updates/dkms/nvidia*.ko*")]


def is_built(root: Path, kernel: str) -> bool:
    """Whether there is a module for `kernel`, as far as one is needed: for a card, and in no container."""
    loads = bool(read_pci(root)["gpus"]) and read_container(root) is None
    return not loads or bool(built_modules(root, kernel))


def build_error(root: Path) -> str | None:
    """The first error in the log of DKMS's last build of NVIDIA's module; None where there is no log."""
    logs = matching(root, "var/lib/dkms/nvidia*/*/build/make.log")
    if not logs:
        return None
    lines = text_of(max(logs, key=os.path.getmtime)).splitlines()
    # A compiler's first; options such as -Werror=... and make's own last line say less.
    patterns = (r"\berror: ", r"^(?!.*-std=).*\berror\b")
    found = (line for pattern in patterns for line in lines if re.search(pattern, line, re.IGNORECASE))
    error = next(found, None)
    # The folder of the build says nothing to anybody.
    return re.sub(r"^\S*/build/", "", (error or (lines or ["no output"])[-1]).strip())[:300]


def reboot_reason(root: Path, kernel: str, target: str) -> str:
    """Why the module cannot be loaded before the next start; "" where it can, or where there is no card."""
    if not read_pci(root)["gpus"]:
        return ""
    if target != kernel:
        return f"the module was built for kernel {target}, and {kernel} runs"
    if os.path.isdir(root / "sys/module/nouveau") and not os.path.isdir(root / "sys/module/nvidia"):
        return "the nouveau driver holds the card until the next start"
    return ""


def start_driver(services: Iterable[str], say: Say, root: Path = Path("/")) -> list[str]:
    """Load the module and start `services`, now and at boot; returns what was done.

    Nothing where there is no card, and in a container, which loads no modules. Raises AptProblem.
    """
    if not read_pci(root)["gpus"] or read_container(root) is not None:
        return []
    done = []
    if not os.path.isdir(root / "sys/module/nvidia"):
        say("loading the kernel module")
        _command("modprobe", "nvidia", doing="loading the kernel module")
        done.append("loaded the kernel module")
    for service in services:
        active = subprocess.run(["systemctl", "is-active", "--quiet", service]).returncode == 0
        enabled = subprocess.run(["systemctl", "is-enabled", "--quiet", service]).returncode == 0
        if not (active and enabled):
            say(f"starting {service}")
            _command("systemctl", "enable", "--now", service, doing=f"starting {service}")
            done.append(f"started {service}")
    return done


def unload_driver(root: Path = Path("/")) -> list[str]:
    """Take the modules out of the kernel; returns what stays, with the reason."""
    for module in MODULES:
        if os.path.isdir(root / "sys/module" / module):
            subprocess.run(["rmmod", module], capture_output=True)
    if os.path.isdir(root / "sys/module/nvidia"):
        return ["kernel module nvidia (in use: it is gone after the next start)"]
    return []


def _try(work: PackageSet, flavour: Flavour, target: str) -> str | None:
    """Install the flavour; None when its module is built for `target`, else why not. Raises AptProblem."""
    failed = None
    try:
        work.add(flavour.packages)
    except AptProblem as problem:
        failed = problem
    if failed is None and not built_modules(work.root, target):
        # DKMS chose other kernels than the one that is wanted here.
        for folder in matching(work.root, "var/lib/dkms/nvidia*/[0-9]*"):
            name, version = folder.parent.name, folder.name
            subprocess.run(["dkms", "install", f"{name}/{version}", "-k", target], capture_output=True)
    if failed is None and built_modules(work.root, target):
        return None
    reason = build_error(work.root)
    if reason is None and failed is not None:
        raise failed
    return reason or "DKMS built nothing, and left no log"


def _built_version(root: Path, target: str) -> str:
    """The version of the module that DKMS built for `target`."""
    found = [path.parents[1].name for path in matching(root, f"var/lib/dkms/nvidia*/[0-9]*/{target}/*")]
    return max(found, key=version_numbers) if found else "of an unknown version"


def _command(*words: str, doing: str) -> None:
    ended = subprocess.run(words, capture_output=True, text=True)
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise AptProblem(
            f"{doing} failed: {' / '.join(said[-3:]) or f'exit code {ended.returncode}'}. "
            "See what the kernel says (dmesg | grep -i nvrm) and journalctl -b"
        )
