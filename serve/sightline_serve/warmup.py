"""The first picture a fresh model sees: drawn here, sent the way a client sends one."""

from __future__ import annotations

import base64
import json
from io import BytesIO

from PIL import Image, ImageDraw

QUESTION = "What colour is the shape? Answer with one word."


def request_body(model: str) -> bytes:
    """A chat request with a red disc on white, 224 x 224, as a PNG data URL."""
    picture = Image.new("RGB", (224, 224), "white")
    ImageDraw.Draw(picture).ellipse((52, 52, 172, 172), fill=(220, 20, 20))
    png = BytesIO()
    picture.save(png, "PNG")
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
    return json.dumps(
        {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": content}]}
    ).encode()
