"""Small packages that stand for NVIDIA's and Debian's large ones: names, needs and what their set-up does.

The kernel modules' packages do as DKMS does: the proprietary one leaves a module for each kernel that has
headers, the open one fails with the log of a build that failed. No module is ever loaded.
"""

from __future__ import annotations

from tests.stand_ins.apt_repository import Package

KERNEL = "6.1.0-28-amd64"
VERSION = "550.163.01"
ERROR = "nvidia/nv-pci.c:1000:13: error: too few arguments to function 'pci_resize_resource'"

_BUILD = """
# As DKMS does it: a key to sign with, made once, which no package takes away.
mkdir -p "$DPKG_ROOT/var/lib/dkms"
[ -e "$DPKG_ROOT/var/lib/dkms/mok.key" ] || echo "stands for a key" > "$DPKG_ROOT/var/lib/dkms/mok.key"
for headers in "$DPKG_ROOT"/lib/modules/*/build; do
  kernel=$(basename "$(dirname "$headers")")
  for place in lib/modules/$kernel/updates/dkms var/lib/dkms/{0}/{1}/$kernel/x86_64/module; do
    mkdir -p "$DPKG_ROOT/$place"
    echo "stands for a kernel module" > "$DPKG_ROOT/$place/{0}.ko.xz"
  done
done
"""
_FAIL = """
build="$DPKG_ROOT/var/lib/dkms/{0}/{1}/build"
mkdir -p "$build"
printf 'DKMS make.log\\nmake: Entering directory\\n%s\\n' "$build/{2}" > "$build/make.log"
exit 10
"""
_CLEAN = """
cd "$DPKG_ROOT/."
rm -rf var/lib/dkms/{0} lib/modules/*/updates/dkms/{0}.ko.xz
rmdir lib/modules/*/updates/dkms lib/modules/*/updates lib/modules/* lib/modules lib 2>/dev/null || true
rmdir var/lib/dkms 2>/dev/null || true
"""


def module_package(
    package: str, module: str, version: str, builds: bool, depends: str = "", revision: str = "2"
) -> Package:
    """A kernel module's package, whose set-up builds it or fails to."""
    after = (_BUILD if builds else _FAIL).format(module, version, ERROR)
    clean = _CLEAN.format(module)
    scripts = {"postinst": after, "prerm": clean, "postrm": clean}
    return Package(package, f"{version}-{revision}", depends, {}, scripts)


def headers(kernel: str = KERNEL) -> Package:
    """The headers of a kernel."""
    return Package(f"linux-headers-{kernel}", files={f"lib/modules/{kernel}/build/Makefile": "all:\n"})


def debians(open_builds: bool = False, builds: bool = True, version: str = VERSION) -> list[Package]:
    """The driver as Debian parts it; whether the open and the proprietary module build."""
    opened, closed = "nvidia-open-kernel-support", "nvidia-kernel-support"
    return [
        Package("dkms", "3.2.2-1"),
        headers(),
        module_package("nvidia-open-kernel-dkms", "nvidia-current-open", version, open_builds, opened),
        module_package("nvidia-kernel-dkms", "nvidia-current", version, builds, closed),
        Package(opened, f"{version}-2"),
        Package(closed, f"{version}-2"),
        Package("nvidia-smi", f"{version}-2", f"libnvidia-ml1 (= {version}-2)"),
        Package("libnvidia-ml1", f"{version}-2"),
        Package("libcuda1", f"{version}-2"),
        Package("nvidia-persistenced", f"{version}-1"),
    ]
