"""Run by another environment's Python: python -m tests.serve.crowd_of_446 FOLDER

Makes small models there; prints as JSON which of them share a forward, or take turns, as they should, and say
what `generate` says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import transformers

from tests.serve import tiny_families, tiny_llava, turn_families
from tests.serve.crowd import Visit, agree, load, prompt
from tests.serve.drawing import disc


def main() -> None:
    folder = Path(sys.argv[1])
    models = {
        "llava": tiny_llava.build(folder / "llava"),
        "qwen2_vl": tiny_families.qwen(folder / "qwen2_vl", "qwen2_vl"),
        "mllama": tiny_families.mllama(folder / "mllama"),
    }
    turns = {name: turn_families.FAMILIES[name](folder / name) for name in ("idefics3", "llava_next")}
    found: dict[str, object] = {"transformers": transformers.__version__}
    for name, model in {**models, **turns}.items():
        engine = load(model)
        plan = [
            Visit(0, 12, prompt(engine, "one", [disc("red").resize((200, 60))]), gives_way=5),
            Visit(1, 12, prompt(engine, "two", [disc("blue").resize((60, 220)), disc("green")])),
        ]
        if getattr(engine.model, "texts_alone", True):
            plan += [
                Visit(0, 3, prompt(engine, "none at all", [])),
                Visit(5, 9, prompt(engine, "x" * 300, [])),
            ]
        found[name] = engine.batching is (name in models) and agree(engine, plan, 64)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
