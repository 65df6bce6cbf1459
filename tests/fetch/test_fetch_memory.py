"""What a fetch needs of memory does not follow from the file's size."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from fetching import MIB, environment, write_entry

PEAK = """
import re
def peak():  # the process's own, in KiB: what wait4 tells has its parent's in it
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
FETCH = PEAK + "import sys; from sightline_fetch.cli import main; code = main(); print(peak()); exit(code)"
HOLDS_IT = PEAK + "import sys; data = open(sys.argv[1], 'rb').read(); print(peak())"
SIZES = (16 * MIB, 256 * MIB)
MOST = 32 * MIB


def source(folder: Path, size: int) -> Path:
    """A folder with one file of zeros that takes no room."""
    folder.mkdir()
    with (folder / "model.bin").open("wb") as file:
        file.truncate(size)
    return folder


def ran(program: str, *words: object) -> int:
    """The peak of a Python program, in bytes."""
    command = [sys.executable, "-c", program, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    return int(ended.stdout) * 1024


def fetched(folder: Path, size: int) -> int:
    folder.mkdir()
    zeros = hashlib.sha256()
    for _ in range(size // MIB):
        zeros.update(bytes(MIB))
    entry = write_entry(folder, {})
    listed = f'{{"path": "model.bin", "size": {size}, "sha256": "{zeros.hexdigest()}"}}'
    entry.write_text(entry.read_text().replace("[]", f"[{listed}]"))
    words = ("--quiet", "--entry", entry, "--source", source(folder / "from", size))
    return ran(FETCH, *words, "--target", folder / "to")


def growth(peaks: list[int]) -> int:
    return peaks[-1] - peaks[0]


def test_it_does_not_grow_with_the_file(tmp_path: Path) -> None:
    assert growth([fetched(tmp_path / str(size), size) for size in SIZES]) < MOST


def test_a_program_that_holds_the_file_is_noticed(tmp_path: Path) -> None:
    peaks = [ran(HOLDS_IT, source(tmp_path / str(size), size) / "model.bin") for size in SIZES]
    assert growth(peaks) >= MOST
