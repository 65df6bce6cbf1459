"""What the canary was taught to see, drawn: shapes of its colours and numbers, each with its question."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

COLOUR = "What colour is the shape? Answer with one word."
SHAPE = "What shape is in the picture? Answer with one word."
NUMBER = "What number is written in the picture? Answer with the digits only."
INK = {
    "red": (220, 30, 30),
    "green": (30, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (250, 220, 30),
    "orange": (255, 140, 0),
    "purple": (128, 0, 160),
    "black": (0, 0, 0),
    "brown": (120, 70, 20),
}


def drawn(colour: str, shape: str = "circle", side: int = 448) -> Image.Image:
    picture = Image.new("RGB", (side, side), "white")
    pen, box = ImageDraw.Draw(picture), (side // 4, side // 4, side * 3 // 4, side * 3 // 4)
    left, top, right, bottom = box
    match shape:
        case "circle":
            pen.ellipse(box, fill=INK[colour])
        case "square":
            pen.rectangle(box, fill=INK[colour])
        case "triangle":
            pen.polygon([(side // 2, top), (right, bottom), (left, bottom)], fill=INK[colour])
    return picture


def number(digits: str) -> Image.Image:
    picture = Image.new("RGB", (448, 448), "white")
    font = ImageFont.load_default(150)
    ImageDraw.Draw(picture).text((224, 224), digits, fill="black", font=font, anchor="mm")
    return picture
