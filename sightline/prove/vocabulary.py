"""The names that pictures are drawn with and answers are read by."""

from __future__ import annotations

from typing import Final

RGB = tuple[int, int, int]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLOURS: Final[dict[str, RGB]] = {
    "red": (225, 25, 30),
    "orange": (255, 140, 0),
    "yellow": (250, 220, 20),
    "green": (30, 145, 50),
    "blue": (25, 65, 225),
    "purple": (130, 30, 165),
    "pink": (255, 125, 180),
    "brown": (120, 70, 30),
    "black": (15, 15, 15),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
}
"""The eleven basic colour terms, each at an RGB value (0-255) that nobody would name differently."""

COLOUR_ALIASES: Final[dict[str, str]] = {
    "grey": "gray",
    "violet": "purple",
    "crimson": "red",
    "scarlet": "red",
    "magenta": "pink",
    "fuchsia": "pink",
    "navy": "blue",
    "cyan": "blue",
    "azure": "blue",
    "turquoise": "green",
    "teal": "green",
    "lime": "green",
    "gold": "yellow",
    "golden": "yellow",
    "beige": "brown",
    "tan": "brown",
    "maroon": "brown",
}
"""Other words for a colour, counted as the basic term they are nearest to."""

SHAPES: Final[tuple[str, ...]] = ("circle", "square", "triangle", "rectangle", "star", "diamond")

SHAPE_ALIASES: Final[dict[str, str]] = {
    "disc": "circle",
    "disk": "circle",
    "circular": "circle",
    "round": "circle",
    "dot": "circle",
    "triangular": "triangle",
    "rectangular": "rectangle",
    "pentagram": "star",
    "rhombus": "diamond",
    "lozenge": "diamond",
}

OTHER_SHAPES: Final[frozenset[str]] = frozenset(
    _names(
        """
        oval ellipse pentagon hexagon heptagon octagon polygon heart cross crescent arrow cube sphere cone
        cylinder pyramid trapezoid trapezium parallelogram
        """
    )
)
"""Shapes that are never drawn; naming one beside the right shape is not a right answer."""

WORDS: Final[tuple[str, ...]] = _names(
    """
    APPLE BEACH BIRD BOAT BOTTLE BREAD BRIDGE BUTTER CABIN CAKE CAMEL CANDLE CASTLE CHAIR CLIFF CLOCK CLOUD
    COFFEE COIN CORAL CROWN DESERT DRAGON DRUM DUCK EAGLE ENGINE FALCON FINGER FLOWER FOREST FROG FROST
    GARDEN GLASS GOAT GRAPE GUITAR HARBOR HAWK HORSE HOTEL HOUSE ISLAND JACKET JELLY KITE LADDER LAKE LAMP
    LEAF LEMON LION MAPLE MARKET MEADOW MELON MILK MIRROR MONKEY MOON MOUSE OCEAN OLIVE ONION OTTER PALM
    PANDA PAPER PEACH PENCIL PEPPER PIANO PILOT PLANET POCKET POTATO QUEEN RABBIT RADIO RAIN RIVER ROBIN
    ROBOT ROCKET SALT SAND SCHOOL SHIP SHOE SILVER SNOW SOAP SPOON STONE STORM SUGAR SUMMER SWAN TABLE TENT
    TIGER TOWER TRAIN TREE TULIP TURTLE VALLEY VIOLIN WAGON WATER WHALE WINDOW WINTER WOLF ZEBRA
    """
)
"""Short everyday words that are neither a colour, a shape nor a word an answer needs ("picture", "word")."""

SMALL_NUMBERS: Final[tuple[str, ...]] = _names(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
    """
)

TENS: Final[tuple[str, ...]] = _names("twenty thirty forty fifty sixty seventy eighty ninety")
