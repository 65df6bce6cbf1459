"""A release of what an image brings (tests/gpu): it fits the catalogue, and says what is missing."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.catalogue import catalogue_problems
from sightline.plan.adopt import decide_adoption
from sightline.plan.situation import Situation
from tests.gpu.found_release import NO_HASH, Image, look, write

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALLED = {
    name: "1.0"
    for name in (
        "transformers", "fastapi", "httpx", "jinja2", "numpy", "pillow", "pydantic", "safetensors", "uvicorn",
    )
}  # fmt: skip
IMAGE = Image(
    interpreter="python3", python="3.12.3", machine="x86_64", torch="2.11.0+cu130", cuda="13.0", cudnn=91900,
    gpu=True, installed=INSTALLED,
)  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("catalogue", "requirements"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    return tmp_path


def entry(checkout: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((checkout / "catalogue/releases/found.yml").read_text()))


def test_the_release_fits_the_catalogue_and_the_image(checkout: Path) -> None:
    write(checkout, IMAGE, [])
    assert catalogue_problems(checkout / "catalogue") == []
    release = entry(checkout)
    assert (release["accelerator"], release["cuda"], release["cudnn"]) == ("cuda", "13.0", "9.19.0")
    assert release["python"] == {"minimum": "3.12", "below": "3.13"}
    found = {
        "prefix": "/opt/torch/.venv", "python": "/opt/torch/.venv/bin/python3", "python_version": "3.12.3",
        "kind": "venv", "packages": "/opt/torch/.venv/lib/python3.12/site-packages", "version": "2.11.0",
        "cuda": "13.0", "cudnn": {"version": "9.19.0.56", "from": "wheel"}, "libraries": {}, "venv": True,
    }  # fmt: skip
    adoption, reasons = decide_adoption(Situation({}, release, {"torch": [found]}, {"python_env": "adopt"}))
    assert adoption is not None, reasons


def test_what_neither_image_nor_wheels_have_is_told(checkout: Path, tmp_path: Path) -> None:
    missing = write(checkout, IMAGE, [])
    assert "prometheus-client" in missing
    assert "fastapi" not in missing
    wheel = tmp_path / "prometheus_client-0.22.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    assert "prometheus-client" not in write(checkout, IMAGE, [wheel])
    lock = (checkout / "requirements/found.lock.txt").read_text()
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert f"prometheus-client==0.22.0 --hash=sha256:{digest}\n" in lock
    assert f"fastapi==1.0 --hash=sha256:{NO_HASH}\n" in lock


def test_a_python_without_pytorch_is_no_image() -> None:
    assert look(sys.executable) is None
