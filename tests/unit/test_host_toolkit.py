"""CUDA, cuDNN and PyTorch that a host or a rented image brings along, read off files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sightline_host.toolkit import read_cuda, read_cudnn
from sightline_host.torch_found import read_torch

SAYS = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.4, V12.4.131\n"


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def put_nvcc(root: Path, name: str, says: str = SAYS, code: int = 0) -> None:
    put(root, {name: f"#!/bin/sh\n[ \"$*\" = --version ] || exit 9\nprintf '%s' '{says}'\nexit {code}\n"})
    (root / name).chmod(0o755)


def test_toolkits_by_their_version_files(tmp_path: Path) -> None:
    full = {"cuda": {"name": "CUDA SDK", "version": "12.4.1"}, "cuda_nvcc": {"version": "12.4.131"}}
    put(
        tmp_path,
        {
            "usr/local/cuda-12.4/version.json": json.dumps(full),
            "usr/local/cuda-12.4/bin/nvcc": "",
            "usr/local/cuda-11.8/version.json": json.dumps({"cuda": {"version": "11.8.0"}}),
            "usr/local/cuda-9.0/README": "",
        },
    )
    os.symlink("cuda-12.4", tmp_path / "usr/local/cuda")

    assert read_cuda(tmp_path) == [
        {"path": "/usr/local/cuda-11.8", "version": "11.8.0", "nvcc": False},
        {"path": "/usr/local/cuda-12.4", "version": "12.4.131", "nvcc": True},
    ]


def test_a_distributions_nvcc_is_asked(tmp_path: Path) -> None:
    put_nvcc(tmp_path, "usr/bin/nvcc")
    assert read_cuda(tmp_path) == [{"path": "/usr/bin/nvcc", "version": "12.4.131", "nvcc": True}]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cuda": "12.4"}', '{"cuda_nvcc": {}}'])
def test_a_version_file_that_says_nothing_leaves_it_to_nvcc(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"usr/local/cuda/version.json": text})
    assert read_cuda(tmp_path) == []
    put_nvcc(tmp_path, "usr/local/cuda/bin/nvcc")
    assert read_cuda(tmp_path) == [{"path": "/usr/local/cuda", "version": "12.4.131", "nvcc": True}]


def test_an_nvcc_that_fails_has_no_version(tmp_path: Path) -> None:
    put_nvcc(tmp_path, "usr/bin/nvcc", "", 1)
    assert read_cuda(tmp_path) == [{"path": "/usr/bin/nvcc", "version": None, "nvcc": True}]


def test_cudnn_where_the_loader_looks(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "usr/lib/x86_64-linux-gnu/libcudnn.so.9.1.0": "",
            "usr/lib/x86_64-linux-gnu/libcudnn_ops.so.9.1.0": "",
            "opt/cudnn/lib/libcudnn.so.8.9.7": "",
            "etc/ld.so.conf.d/cudnn.conf": "# by hand\n/opt/cudnn/lib\n",
            "srv/libcudnn.so.9.9.9": "",
        },
    )
    os.symlink("libcudnn.so.9.1.0", tmp_path / "usr/lib/x86_64-linux-gnu/libcudnn.so.9")
    os.symlink("libcudnn.so.7.6.5", tmp_path / "usr/lib/x86_64-linux-gnu/libcudnn.so.7")

    assert read_cudnn(tmp_path) == [
        {"path": "/opt/cudnn/lib/libcudnn.so.8.9.7", "version": "8.9.7"},
        {"path": "/usr/lib/x86_64-linux-gnu/libcudnn.so.9.1.0", "version": "9.1.0"},
    ]


def torch(root: Path, packages: str, version: str, cuda: str | None) -> None:
    said = f"'{cuda}'" if cuda else "None"
    put(
        root,
        {
            f"{packages}/torch-{version}.dist-info/METADATA": f"Name: torch\nVersion: {version}\n",
            f"{packages}/torch/version.py": (
                "from typing import Optional\n\n__all__ = ['__version__', 'debug', 'cuda', 'hip']\n"
                f"__version__ = '{version}'\ndebug = False\ncuda: Optional[str] = {said}\n"
                "hip: Optional[str] = None\n"
            ),
        },
    )


def found(root: Path, *more: str) -> dict[str, dict[str, Any]]:
    environments: Any = read_torch(root, more)
    return {environment["prefix"]: environment for environment in environments}


def test_a_venv_of_a_rented_image(tmp_path: Path) -> None:
    packages = "venv/main/lib/python3.12/site-packages"
    torch(tmp_path, packages, "2.5.1+cu124", "12.4")
    put(
        tmp_path,
        {
            f"{packages}/nvidia_cudnn_cu12-9.1.0.70.dist-info/METADATA": "",
            f"{packages}/nvidia_cublas_cu12-12.4.5.8.dist-info/METADATA": "",
            "venv/main/pyvenv.cfg": "home = /usr/bin\nversion = 3.12.3\n",
            "venv/main/bin/python3.12": "",
        },
    )

    assert read_torch(tmp_path) == [
        {
            "prefix": "/venv/main",
            "python": "/venv/main/bin/python3.12",
            "python_version": "3.12.3",
            "kind": "venv",
            "packages": f"/{packages}",
            "version": "2.5.1+cu124",
            "cuda": "12.4",
            "cudnn": {"version": "9.1.0.70", "from": "wheel"},
            "libraries": {"nvidia-cublas-cu12": "12.4.5.8", "nvidia-cudnn-cu12": "9.1.0.70"},
        }
    ]


def test_conda_with_its_own_cudnn(tmp_path: Path) -> None:
    torch(tmp_path, "root/miniconda3/lib/python3.12/site-packages", "2.5.1", "12.4")
    put(
        tmp_path,
        {
            "root/miniconda3/bin/python3.12": "",
            "root/miniconda3/conda-meta/python-3.12.2-hab00c5b_0_cpython.json": "{}",
            "root/miniconda3/conda-meta/pytorch-2.5.1-py3.12_cuda12.4_cudnn9.1.0_0.json": "{}",
        },
    )
    environment = found(tmp_path)["/root/miniconda3"]
    assert environment["kind"] == "conda"
    assert environment["python_version"] == "3.12.2"
    assert environment["cudnn"] == {"version": "9.1.0", "from": "conda"}
    assert environment["libraries"] == {}


def test_a_system_python_and_a_cpu_build(tmp_path: Path) -> None:
    torch(tmp_path, "usr/local/lib/python3.10/dist-packages", "2.4.0+cpu", None)
    put(tmp_path, {"usr/bin/python3.10": ""})
    environment = found(tmp_path)["/usr/local"]
    assert environment["python"] == "/usr/bin/python3.10"
    assert (environment["kind"], environment["python_version"]) == ("system", "3.10")
    assert (environment["version"], environment["cuda"], environment["cudnn"]) == ("2.4.0+cpu", None, None)


def test_the_distributions_own_torch(tmp_path: Path) -> None:
    torch(tmp_path, "usr/lib/python3/dist-packages", "1.13.1", None)
    put(tmp_path, {"usr/bin/python3.11": ""})
    os.symlink("python3.11", tmp_path / "usr/bin/python3")
    environment = found(tmp_path)["/usr"]
    assert (environment["python"], environment["python_version"]) == ("/usr/bin/python3", "3.11")


def test_torch_built_into_an_image_without_metadata(tmp_path: Path) -> None:
    packages = "opt/conda/envs/py/lib/python3.11/site-packages"
    put(
        tmp_path,
        {
            f"{packages}/torch/version.py": "__version__ = '2.1.0a0+32f93b1'\ncuda = '12.2'\n",
            f"{packages}/torch/lib/libcudnn.so.8.9.5": "",
        },
    )
    environment = found(tmp_path)["/opt/conda/envs/py"]
    assert (environment["version"], environment["cuda"]) == ("2.1.0a0+32f93b1", "12.2")
    assert environment["cudnn"] == {"version": "8.9.5", "from": "bundled"}
    assert environment["python"] is None


def test_prefixes_that_the_probe_knows_are_searched_too_and_once(tmp_path: Path) -> None:
    torch(tmp_path, "srv/python/lib/python3.12/site-packages", "2.5.1", "12.4")
    assert found(tmp_path) == {}
    assert len(read_torch(tmp_path, ["/srv/python", "/srv/python", "/srv/gone"])) == 1


def test_other_packages_are_not_torch(tmp_path: Path) -> None:
    put(tmp_path, {"usr/lib/python3/dist-packages/torchvision-0.20.1.dist-info/METADATA": ""})
    # what pip leaves behind of a folder that it could not remove
    (tmp_path / "usr/lib/python3/dist-packages/torch-2.5.1.dist-info").mkdir(parents=True)
    assert read_torch(tmp_path) == []


def test_a_root_whose_name_is_a_pattern_is_only_a_name(tmp_path: Path) -> None:
    root = tmp_path / "a[b]*"
    torch(root, "venv/main/lib/python3.12/site-packages", "2.5.1", "12.4")
    assert list(found(root)) == ["/venv/main"]
