"""Environments on a Python that brings PyTorch: what it has is used, the rest added, nothing touched."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sightline_host.adopted import AdoptedBase, AdoptionProblem, blocks, visible
from sightline_host.environment import EnvironmentProblem, Lock, build, missing_locks, read_stamp

from tests.stand_ins.package_index import PackageIndex

CUDNN = "nvidia-cudnn-cu12"


def quiet(line: str) -> None:
    del line


@dataclass(frozen=True)
class Image:
    """What a rented image brings: an environment with torch in it, and an index to add to it from."""

    path: Path
    index: PackageIndex
    python: str

    @property
    def packages(self) -> str:
        (folder,) = self.path.glob("lib/python3*/site-packages")
        return str(folder)

    def base(self, **differing: str) -> AdoptedBase:
        told = {"packages": self.packages, "kind": "venv", "torch": "2.5.1+cu124"}
        return AdoptedBase(**{**told, **differing})

    def files(self) -> dict[str, int]:
        return {
            str(file): file.stat().st_mtime_ns
            for file in self.path.rglob("*")
            # A folder's time changes when Python keeps bytecode in it, which is no harm.
            if file.is_file() and "__pycache__" not in str(file)
        }


@pytest.fixture
def image(tmp_path: Path, index: PackageIndex, quick_python: str) -> Image:
    brought = (("torch", "2.5.1+cu124"), ("alpha", "1.0"), (CUDNN, "9.1.0.70"))
    lock = Lock("image", "".join(index.add(*package) for package in brought), no_deps=True)
    build(tmp_path / "image", quick_python, [lock], quiet)
    return Image(tmp_path / "image", index, quick_python)


def unpinned(line: str) -> str:
    """A lock's line that any build of the version fits: as the seed stack's is for torch."""
    return line.replace("2.5.1+cu124", "2.5.1")


def test_what_the_image_has_is_used_and_the_rest_is_added(tmp_path: Path, image: Image) -> None:
    index = image.index
    torch = Lock("torch-cu124", unpinned(index.add("torch", "2.5.1+cu124")) + index.add(CUDNN, "9.1.0.70"))
    engine = Lock("engine", index.add("alpha", "1.0") + index.add("beta", "2.0"), no_deps=True)
    path = tmp_path / "env" / "seed"
    before = image.files()
    said: list[str] = []

    assert build(path, image.python, [engine, torch], said.append, base=image.base()) is True

    assert image.files() == before
    seen = visible(path)
    assert seen["torch"] == ("2.5.1+cu124", False)
    assert seen[CUDNN] == ("9.1.0.70", False)
    assert seen["alpha"] == ("1.0", False)
    assert seen["beta"] == ("2.0", True)
    assert "torch-cu124: all of it is there already" in said
    assert "engine 1/1: beta" in said
    stamp = read_stamp(path)
    assert stamp["adopted"] == {"packages": image.packages, "torch": "2.5.1+cu124"}
    assert stamp["brought"] == {"torch": "2.5.1+cu124", CUDNN: "9.1.0.70", "alpha": "1.0"}
    assert stamp["locks"] == {"engine": engine.sha256, "torch-cu124": torch.sha256}
    assert [entry.name for entry in path.parent.iterdir()] == ["seed"]


def test_another_version_of_the_images_is_covered_by_the_locks(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "env"
    build(path, image.python, [Lock("engine", image.index.add("alpha", "3.0"))], quiet, base=image.base())

    assert visible(path)["alpha"] == ("3.0", True)
    imported = subprocess.run(
        [path / "bin/python", "-c", "import alpha; print(alpha.VERSION)"], capture_output=True, text=True
    )
    assert imported.stdout.strip() == "3.0"
    assert visible(image.path)["alpha"] == ("1.0", True)


def test_libraries_that_torch_was_built_with_are_not_fetched_as_wheels(tmp_path: Path, image: Image) -> None:
    """As conda's torch: no wheel of NVIDIA's is there, and one beside it would never be loaded."""
    path, base = tmp_path / "env", image.base()
    lock = Lock("cuda", "nvidia-cublas-cu12==12.4.5.8 --hash=sha256:" + "0" * 64 + "\n")

    build(path, image.python, [lock], quiet, base=base)

    assert "nvidia-cublas-cu12" not in visible(path)
    stamp = read_stamp(path)
    assert stamp["brought"] == {"nvidia-cublas-cu12": "torch's own"}


def test_a_library_at_another_version_is_no_base(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "env"
    with pytest.raises(AdoptionProblem, match=rf"has {CUDNN} 9\.1\.0\.70, where the lock says 9\.5\.1\.17"):
        build(
            path, image.python, [Lock("cudnn", image.index.add(CUDNN, "9.5.1.17"))], quiet, base=image.base()
        )
    assert not path.exists()


def test_a_torch_that_changed_meanwhile_is_no_base(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "env"
    with pytest.raises(
        AdoptionProblem, match=r"has torch 2\.5\.1\+cu124, not 2\.6\.0 .*sightline_python_env=own"
    ):
        build(path, image.python, [Lock("a", "")], quiet, base=image.base(torch="2.6.0"))
    assert not path.exists()


def test_a_base_without_torch_is_none(tmp_path: Path, index: PackageIndex, quick_python: str) -> None:
    image = Image(tmp_path / "image", index, quick_python)
    build(image.path, quick_python, [Lock("demo", index.add("alpha", "1.0"))], quiet)
    with pytest.raises(AdoptionProblem, match="has torch no more"):
        build(tmp_path / "env", quick_python, [Lock("demo", "")], quiet, base=image.base())


def test_an_environment_of_another_base_or_of_none_is_built_anew(tmp_path: Path, image: Image) -> None:
    lock, path = Lock("demo", image.index.add("beta", "1.0")), tmp_path / "env"
    build(path, image.python, [lock], quiet)
    assert missing_locks(path, [lock]) == []
    assert missing_locks(path, [lock], image.base()) is None

    build(path, image.python, [lock], quiet, base=image.base())
    assert missing_locks(path, [lock], image.base()) == []
    assert missing_locks(path, [lock]) is None
    assert missing_locks(path, [lock], image.base(packages="/elsewhere")) is None


def test_the_locks_hashes_still_decide_what_is_added(tmp_path: Path, image: Image) -> None:
    lock = Lock("demo", image.index.add("beta", "1.0"))
    image.index.spoil("beta")
    with pytest.raises(EnvironmentProblem, match="not the one in the lock file"):
        build(tmp_path / "env", image.python, [lock], quiet, base=image.base())


@pytest.mark.parametrize(("kind", "settings", "words"), [
    ("system", "", ["--system-site-packages"]),
    ("conda", "", ["--system-site-packages"]),
    ("venv", "include-system-site-packages = true\n", ["--system-site-packages"]),
    ("venv", "include-system-site-packages = false\n", []),
])  # fmt: skip
def test_the_system_shines_through_where_it_did_before(
    tmp_path: Path, kind: str, settings: str, words: list[str]
) -> None:
    packages = tmp_path / "image/lib/python3.12/site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "image/pyvenv.cfg").write_text(settings)
    python = tmp_path / "python"
    asked = tmp_path / "asked"
    python.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done >{asked}\nexit 1\n')
    python.chmod(0o755)

    assert AdoptedBase(str(packages), kind, "2.5.1").create(tmp_path / "env", str(python)).returncode == 1

    assert asked.read_text().split() == ["-m", "venv", "--without-pip", str(tmp_path / "env"), *words]


def test_an_image_without_pip_is_given_one_beside_it(tmp_path: Path, image: Image) -> None:
    """As those that uv has made. The environment is a real one, and the image stays without."""
    (packages,) = image.path.glob("lib/python3*/site-packages")
    for left in packages.glob("pip*"):
        shutil.rmtree(left)
    path = tmp_path / "env"

    assert image.base().create(path, sys.executable).returncode == 0

    asked = subprocess.run([path / "bin/python", "-m", "pip", "--version"], capture_output=True, text=True)
    assert str(path) in asked.stdout
    assert visible(path)["pip"][1] is True
    assert "pip" not in visible(image.path)


def test_a_python_that_does_not_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("#!/bin/sh\necho 'no libpython' >&2\nexit 127\n")
    (tmp_path / "bin/python").chmod(0o755)
    with pytest.raises(AdoptionProblem, match="does not run: no libpython"):
        visible(tmp_path)


def test_pins_are_read_with_all_their_lines() -> None:
    first = "A_b.c==1.0 ; os_name == 'x' \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
    assert blocks(f"# a comment\n{first}d==2+cu124\n") == [
        ("a-b-c", "1.0", first),
        ("d", "2+cu124", "d==2+cu124\n"),
    ]
    assert blocks("") == []
