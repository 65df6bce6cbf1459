"""Stands for a package index: real wheels and a real simple index, in a folder that pip reads by file://."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path
from urllib.parse import quote


class PackageIndex:
    """An index under `folder`. `url` is what pip's --index-url takes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def add(self, name: str, version: str, *needs: str) -> str:
        """Make a wheel with one module that knows its version; returns its line of a lock file."""
        page = self.folder / name
        page.mkdir(exist_ok=True)
        wheel = page / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        _write_wheel(wheel, name.replace("-", "_"), version, needs)
        links = [f'<a href="{quote(file.name)}">{file.name}</a>' for file in sorted(page.glob("*.whl"))]
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>\n")
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"

    def spoil(self, name: str) -> None:
        """Put other bytes behind the wheel's name: what an index does that was tampered with."""
        for wheel in (self.folder / name).glob("*.whl"):
            with zipfile.ZipFile(wheel, "a") as archive:
                archive.writestr(f"{name}_extra.py", "raise SystemExit\n")


def _write_wheel(wheel: Path, name: str, version: str, needs: tuple[str, ...]) -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {need}\n" for need in needs),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), f"{record}{info}/RECORD,,\n")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
