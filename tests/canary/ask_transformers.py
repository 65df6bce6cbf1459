"""Run by another environment's Python: loads a model folder and answers cases; prints a JSON list.

Arguments: the model folder, a JSON file with [{"messages": [...], "pictures": ["path", ...]}, ...].
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


def main() -> None:
    folder, cases = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = AutoModelForImageTextToText.from_pretrained(
        folder, local_files_only=True, torch_dtype=torch.float32
    )
    answers = []
    for case in cases:
        text = processor.apply_chat_template(case["messages"], add_generation_prompt=True)
        pictures = [Image.open(path).convert("RGB") for path in case["pictures"]]
        inputs = processor(images=pictures or None, text=text, return_tensors="pt")
        made = model.generate(**inputs, max_new_tokens=32, do_sample=False)
        answers.append(processor.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    print(json.dumps(answers))


main()
