"""Which of an environment's packages can be imported, told module by module.

Run by the environment's own Python, from this file or from standard input (`ssh HOST PYTHON -I - torch <
imports.py`), with the standard library alone. Modules that need a GPU have a process each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

CHILD = """
import importlib, json, sys, time
from contextlib import redirect_stdout
for name in sys.argv[1:]:
    started, trouble = time.monotonic(), ""
    try:
        with redirect_stdout(sys.stderr):
            importlib.import_module(name)
    except BaseException as error:
        said = (str(error).strip().splitlines() or [""])[0]
        trouble = f"{type(error).__name__}: {said}" if said else type(error).__name__
    print(json.dumps([name, round(time.monotonic() - started, 1), trouble]), flush=True)
"""
HAS_GPU = "import torch; print(torch.cuda.is_available())"


@dataclass(frozen=True)
class Import:
    """One module: how many seconds it took, and what went wrong ("" for nothing).

    `right`: whether that is as it should be; without a GPU a module that needs one may fail.
    """

    module: str
    seconds: float
    trouble: str
    needs_gpu: bool
    right: bool


def try_imports(python: str, modules: Sequence[str], gpu: Sequence[str] = ()) -> Iterator[Import]:
    """Import `modules` one after the other in one process of `python`, those of `gpu` each in its own."""
    for name, seconds, trouble in _each(python, modules):
        yield Import(name, seconds, trouble, False, not trouble)
    there = bool(gpu) and _run(python, HAS_GPU).stdout.strip() == "True"
    for wanted in gpu:
        for name, seconds, trouble in _each(python, [wanted]):
            yield Import(name, seconds, trouble, True, not trouble or not there)


def _each(python: str, modules: Sequence[str]) -> Iterator[tuple[str, float, str]]:
    """A process that ends at a module says nothing more; the others get another one."""
    left = list(modules)
    while left:
        ended = _run(python, CHILD, *left)
        told = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]
        yield from ((str(name), float(seconds), str(trouble)) for name, seconds, trouble in told)
        left = left[len(told) :]
        if left:
            yield left.pop(0), 0.0, f"the process ended with code {ended.returncode}"


def _run(python: str, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    around = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-I", "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, env=around, stdin=subprocess.DEVNULL)


def line_of(found: Import) -> str:
    """One module as a person reads it."""
    if not found.trouble:
        return f"{found.module:44} {found.seconds:6.1f} s"
    allowed = " (it needs a GPU, and there is none)" if found.right else ""
    return f"{found.module:44} not imported{allowed}: {found.trouble}"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Import packages by this Python. Exit: 0 as it should be, 1 one is not, 2 bad arguments."
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--gpu", action="append", default=[], metavar="MODULE", help="needs a GPU")
    parser.add_argument("--json", action="store_true", help="an object a line")
    given = parser.parse_args(words)
    right = True
    for found in try_imports(sys.executable, given.modules, given.gpu):
        print(json.dumps(asdict(found)) if given.json else line_of(found), flush=True)
        right = right and found.right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
