"""Plain pictures as somebody else would draw them: shares no code with `canary/`, and the canary never
trains on them."""

import io
import math
import random

from PIL import Image, ImageDraw

NAMED = {
    "red": [(255, 0, 0)],
    "green": [(0, 128, 0), (0, 255, 0)],
    "blue": [(0, 0, 255)],
    "yellow": [(255, 255, 0)],
    "orange": [(255, 165, 0)],
    "purple": [(128, 0, 128)],
    "black": [(0, 0, 0)],
    "pink": [(255, 192, 203)],
    "brown": [(165, 42, 42)],
    "gray": [(128, 128, 128)],
}
FORMS = ["circle", "square", "triangle", "rectangle", "star", "diamond"]


def plain_picture(source: random.Random) -> tuple[Image.Image, str, str]:
    """One filled shape on pure white, 100 to 600 px, hard edges, PNG or JPEG; with its colour and its
    shape."""
    width = source.randint(100, 600)
    height = width if source.random() < 0.6 else max(100, int(width * source.choice([0.66, 0.75, 1.33])))
    short = min(width, height)
    colour, form = source.choice(list(NAMED)), source.choice(FORMS)
    fill = source.choice(NAMED[colour])
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    r = short * source.uniform(0.15, 0.4)
    # The middle square holds the whole shape, as that is all some loaders see of an oblong picture.
    slack = short / 2 - r - 1
    x, y = width / 2 + source.uniform(-slack, slack), height / 2 + source.uniform(-slack, slack)
    if form == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill)
    elif form == "square":
        pen.rectangle((x - r * 0.8, y - r * 0.8, x + r * 0.8, y + r * 0.8), fill)
    elif form == "rectangle":
        pen.rectangle((x - r, y - r / 2, x + r, y + r / 2), fill)
    elif form == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill)
    elif form == "diamond":
        pen.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], fill)
    else:
        corners = []
        for tip in range(10):
            reach = r if tip % 2 == 0 else r * 0.4
            corners.append((x + reach * math.sin(tip * math.pi / 5), y - reach * math.cos(tip * math.pi / 5)))
        pen.polygon(corners, fill)
    kept = io.BytesIO()
    picture.save(kept, source.choice(["PNG", "JPEG"]))
    return Image.open(io.BytesIO(kept.getvalue())).convert("RGB"), colour, form
