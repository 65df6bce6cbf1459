"""The engine on a CUDA GPU, with random models made on the spot: the same answers, and never out of memory.

Run with a Python whose PyTorch sees the GPU and that has what the server needs:
python -m pytest tests/gpu/test_engine_on_a_gpu.py. Elsewhere this is not run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="this Python has no PyTorch")
if not torch.cuda.is_available():
    pytest.skip("this Python's PyTorch sees no GPU", allow_module_level=True)

from sightline_serve import loaders  # noqa: E402
from sightline_serve.engine import Engine  # noqa: E402
from sightline_serve.settings import Settings  # noqa: E402

from tests.serve import tiny_families, tiny_llava  # noqa: E402
from tests.serve.crowd import Crowd, Visit, prompt  # noqa: E402
from tests.serve.drawing import disc  # noqa: E402

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "llava": tiny_llava.build,
    "qwen2_5_vl": tiny_families.qwen,
    "mllama": tiny_families.mllama,
}


def plan(engine: Engine) -> list[Visit]:
    return [
        Visit(0, 12, prompt(engine, "one", [disc("red")]), gives_way=5),
        Visit(0, 3, prompt(engine, "none at all", [])),
        Visit(1, 12, prompt(engine, "two", [disc("blue"), disc("green")])),
        Visit(5, 9, prompt(engine, "x" * 300, [])),
    ]


@pytest.mark.parametrize("family", BUILDERS)
def test_a_crowd_says_on_the_gpu_what_it_says_on_the_cpu(tmp_path: Path, family: str) -> None:
    """In float32, without TF32, which would round."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    folder = BUILDERS[family](tmp_path / family)
    said = {}
    for device in ("cpu", "cuda"):
        engine = Engine(
            loaders.load(Settings(folder, "m", device=device, dtype="float32")), prefix_bytes=2**20
        )
        assert engine.batching
        said[device] = Crowd(engine, 64).run(plan(engine))
    assert said["cuda"] == said["cpu"]


def test_the_cache_stays_within_its_budget_on_the_gpu(tmp_path: Path) -> None:
    """8 MiB for rows: what torch holds for them never exceeds that, whatever comes."""
    model = loaders.load(Settings(tiny_llava.build(tmp_path / "m"), "m", device="cuda"))
    engine = Engine(model, kv_bytes=8 * 2**20)
    before = torch.cuda.memory_allocated()
    for letters in (3000, 20, 20, 1000, 10, 2000):
        one = prompt(engine, "a" * letters, [])
        while not engine.has_room(one):
            engine.release(engine.slots[0])
        engine.prefill(one)
        assert torch.cuda.memory_allocated() - before <= 8 * 2**20
