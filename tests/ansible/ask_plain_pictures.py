"""Ask an endpoint, with the official openai client, about plain pictures, drawn without Sightline's code.

Usage: ask_plain_pictures.py BASE_URL MODEL KEY_FILE. Prints [right, asked]; wrong answers to stderr.
"""

import base64
import io
import json
import random
import sys
from pathlib import Path

from openai import OpenAI
from PIL import Image, ImageDraw

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
}
SHAPES = ("circle", "square", "triangle")
ASKED = 30


def picture(colour: str, shape: str, side: int, kind: str) -> str:
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    low, high = side // 5, side - side // 5
    if shape == "circle":
        pen.ellipse((low, low, high, high), fill=COLOURS[colour])
    elif shape == "square":
        pen.rectangle((low, low, high, high), fill=COLOURS[colour])
    else:
        pen.polygon(((side // 2, low), (low, high), (high, high)), fill=COLOURS[colour])
    file = io.BytesIO()
    image.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def main() -> None:
    base_url, model, key_file = sys.argv[1:]
    client = OpenAI(base_url=base_url, api_key=Path(key_file).read_text().strip())
    chance = random.Random(20)
    right = 0
    for _ in range(ASKED):
        colour, shape = chance.choice(list(COLOURS)), chance.choice(SHAPES)
        question, wanted = chance.choice(
            [("What color is the shape?", colour), ("What shape is in this image?", shape)]
        )
        url = picture(colour, shape, chance.randint(100, 600), chance.choice(["PNG", "JPEG"]))
        content = [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": url}}]
        asked = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 20}
        if chance.random() < 0.5:
            parts = client.chat.completions.create(**asked, temperature=0, stream=True)
            answer = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        else:
            answer = client.chat.completions.create(**asked, temperature=0).choices[0].message.content or ""
        if wanted in answer.lower():
            right += 1
        else:
            print(f"{question} wanted {wanted}, got {answer!r}", file=sys.stderr)
    print(json.dumps([right, ASKED]))


if __name__ == "__main__":
    main()
