"""What is drawn agrees with what the scene says, and the model sees it as the shipped processor would."""

import numpy as np
import pytest
from PIL import Image

from canary.augment import augment
from canary.backgrounds import clear_of, shade
from canary.cells import EMPTY, character_cells
from canary.draw import Canvas, draw, random_canvas, square
from canary.glyphs import text_bitmap
from canary.pool import Pool, draw_one, draw_pool
from canary.prepare import crop_to_square, pad_to_square, to_pixels
from canary.scene import KINDS, Item, Scene
from canary.shapes import outline
from canary.vocabulary import CHARACTERS, COLOUR_NAMES, SHAPES, SIDE, WORDS


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_at_its_size_with_its_truth(rng: np.random.Generator, kind: str) -> None:
    for _ in range(30):
        canvas = random_canvas(rng)
        picture, scene = draw(rng, kind, canvas)
        assert picture.size == (canvas.width, canvas.height)
        assert picture.mode == "RGB"
        assert scene.kind == kind
        assert bool(scene.text) == (kind in ("number", "word"))
        assert bool(scene.items) == (kind in ("shape", "several", "mixed"))
        left, top, right, bottom = scene.box
        assert 0 <= left < right <= SIDE
        assert 0 <= top < bottom <= SIDE


def test_an_unknown_kind_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="unknown kind of picture 'cat'"):
        draw(rng, "cat")
    with pytest.raises(ValueError, match="unknown shape 'cat'"):
        outline(rng, "cat", 10)


def test_as_many_separate_shapes_are_drawn_as_the_scene_counts(rng: np.random.Generator) -> None:
    checked = 0
    while checked < 25:
        picture, scene = draw(rng, "several", Canvas(224, 224, True))
        pixels = np.asarray(picture, dtype=int)
        plain = np.abs(pixels - pixels[0, 0]).sum(2) < 60
        if plain.mean() < 0.5 or any(
            np.abs(pixels[y, x] - pixels[0, 0]).sum() > 5 for y, x in ((0, 223), (223, 0))
        ):
            continue  # a patterned background or a shape in the corner: not countable so simply
        blobs = _blobs(~plain)
        assert len(blobs) == scene.count
        checked += 1


def _blobs(mask: np.ndarray) -> list[int]:
    """Sizes of the 4-connected regions of more than 12 pixels, by flood fill."""
    left, sizes = mask.copy(), []
    while left.any():
        stack, size = [tuple(np.argwhere(left)[0])], 0
        left[stack[0]] = False
        while stack:
            y, x = stack.pop()
            size += 1
            for a, b in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and left[a, b]:
                    left[a, b] = False
                    stack.append((a, b))
        if size > 12:
            sizes.append(size)
    return sizes


def test_a_square_never_stands_like_a_diamond_and_a_rectangle_is_never_nearly_square(
    rng: np.random.Generator,
) -> None:
    for _ in range(200):
        box = outline(rng, "square", 50)
        assert box.points is not None
        (x0, y0), (x1, y1) = box.points[:2]
        assert abs(np.degrees(np.arctan2(y1 - y0, x1 - x0))) <= 8.01
        oblong = outline(rng, "rectangle", 50).points
        assert oblong is not None
        sides = sorted(
            [np.hypot(*np.subtract(oblong[1], oblong[0])), np.hypot(*np.subtract(oblong[2], oblong[1]))]
        )
        assert sides[1] / sides[0] >= 1.39


def test_shades_stay_clear_of_each_other_where_people_would_disagree(rng: np.random.Generator) -> None:
    red, brown = [[shade(rng, name) for _ in range(100)] for name in ("red", "brown")]
    assert min(colour[0] for colour in red) > max(colour[0] for colour in brown)
    assert all(len(set(shade(rng, "gray"))) <= 3 and max(shade(rng, "gray")) < 190 for _ in range(50))
    assert not clear_of((255, 255, 255), (250, 250, 250))
    assert clear_of((255, 255, 255), (255, 192, 203))


def test_bitmap_letters_are_told_apart() -> None:
    drawn = {text_bitmap(character).tobytes() for character in CHARACTERS}
    assert len(drawn) == len(CHARACTERS) == 36
    assert text_bitmap("AB").shape == (7, 11)
    with pytest.raises(KeyError):
        text_bitmap("é")


def test_the_names_are_the_contract() -> None:
    assert COLOUR_NAMES == (
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "pink",
        "brown",
        "black",
        "white",
        "gray",
    )
    assert set(SHAPES) == {"circle", "square", "triangle", "rectangle", "star", "diamond"}
    assert len(WORDS) >= 200
    assert all(3 <= len(word) <= 6 and word.isupper() for word in WORDS)


def test_oblong_pictures_are_padded_or_cropped_to_the_middle() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste((0, 0, 255), (100, 0, 200, 100))
    padded, cropped = pad_to_square(picture), crop_to_square(picture)
    assert padded.size == (300, 300)
    assert padded.getpixel((150, 50)) == (127, 127, 127)
    assert padded.getpixel((150, 150)) == (0, 0, 255)
    assert cropped.size == (100, 100)
    assert cropped.getpixel((0, 0)) == cropped.getpixel((99, 99)) == (0, 0, 255)
    assert to_pixels(padded).shape == (112, 112, 3)


def test_a_pool_is_the_same_for_the_same_seed_and_another_for_another(tmp_path: object) -> None:
    first, again, other = (draw_one(np.random.default_rng([seed, 5]))[0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_pool_read_back_is_what_was_drawn(tmp_path) -> None:
    draw_pool(tmp_path / "pool", 12, seed=3, processes=1)
    pool = Pool(tmp_path / "pool")
    assert pool.pixels.shape == (12, 112, 112, 3)
    pixels, scene = draw_one(np.random.default_rng([3, 7]))
    assert (pool.pixels[7] == pixels).all()
    assert pool.scenes[7] == scene


def test_augmentation_keeps_the_drawing_inside_and_moves_what_stands_where_with_it(
    rng: np.random.Generator,
) -> None:
    for _ in range(40):
        picture, scene = draw(rng, "number", Canvas(112, 112, True), length=2)
        pixels = to_pixels(square(rng, picture, Canvas(112, 112, True)))[None]
        varied, moves = augment(rng, pixels, [scene], np.array([True]))
        assert varied.shape == (1, 3, 112, 112)
        assert float(varied.abs().max()) <= 1.0
        cells = character_cells([scene], moves)[0]
        shown = {CHARACTERS[c] for c in np.unique(cells) if c != EMPTY}
        assert shown == set(scene.text)


def test_cells_stand_where_the_characters_stand_and_are_asked_of_text_only() -> None:
    still = np.eye(2, 3, dtype=np.float32)[None]
    text = Scene("number", text="17", text_colour="red", box=(14.0, 28.0, 42.0, 42.0), edges=(0.0, 0.5, 1.0))
    cells = character_cells([text], still)[0].reshape(8, 8, 2)
    assert cells[2, 1].tolist() == [1, 1]
    assert cells[2, 2].tolist() == [7, 7]
    assert (cells == EMPTY).sum() == 128 - 4
    shape = Scene("shape", (Item("red", "star"),))
    assert (character_cells([shape], still) == -100).all()
