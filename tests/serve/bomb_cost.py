"""What a picture bomb costs to take in or refuse: python -m tests.serve.bomb_cost

Each file is decoded in a fresh process. Told are what its memory at the peak was above that of before, and
the whole memory of the process in which a large picture is decoded.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def decode_one(file: Path, megapixels: float) -> None:
    from sightline_serve.pictures import PictureError, Purse, decode
    from sightline_serve.settings import Budget

    raw = file.read_bytes()
    before, began = _peak(), time.perf_counter()
    try:
        picture = decode(raw, Purse(Budget(pixels=int(megapixels * 1e6))))
        said = "taken as {} x {}".format(*picture.size)
    except PictureError as error:
        said = "refused: budget" if "over its budget" in str(error) else f"refused: {error}"
    seconds = time.perf_counter() - began
    here, apart = _peak() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"| {megapixels:g} | {here:.0f} MiB | {apart:.0f} MiB | {seconds:.1f} s | {said} |")


def _peak() -> float:
    # Not getrusage's figure, which begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--megapixels", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--budgets", type=float, nargs="+", default=[50, 200], help="megapixels a request")
    args = parser.parse_args()
    if args.file:
        decode_one(args.file, args.megapixels)
        return
    from tests.serve.bombs import KINDS, SIDE, bomb

    columns = ("file", "its size", "budget, megapixels", "memory here", "process apart", "time", "")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in KINDS:
            for side in (SIDE, 7000):
                file = Path(scratch) / "file"
                file.write_bytes(bomb(kind, side))
                for budget in args.budgets if side == SIDE else args.budgets[:1]:
                    command = [sys.executable, "-m", __spec__.name, "--file", str(file)]
                    done = subprocess.run(
                        [*command, "--megapixels", str(budget)], capture_output=True, text=True, check=True
                    )
                    size = file.stat().st_size / 1e6
                    print(f"| {kind}, {side} x {side} | {size:.2f} MB {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
