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
    ANCHOR APPLE BADGER BAKER BASIL BEACH BOTTLE BRANCH BREAD BRIDGE BUTTER CABIN CAMEL CANDLE CASTLE CHAIR
    CHERRY CLIFF CLOCK CLOUD COFFEE COPPER CORAL COTTON DESERT DONKEY DRAGON EAGLE ENGINE FALCON FERRY FINGER
    FLOWER FOREST FROST GARDEN GINGER GLASS GRAPE GUITAR HAMMER HARBOR HORSE HOTEL HOUSE ISLAND JACKET JELLY
    KITE KITTEN LADDER LAKE LEMON LION MAPLE MARBLE MARKET MEADOW MELON MIRROR MONKEY MOTOR MOUSE NEEDLE
    OCEAN OLIVE ONION OTTER PANDA PAPER PEACH PENCIL PEPPER PIANO PILOT PIRATE PLANET POCKET POTATO PUZZLE
    QUEEN RABBIT RADIO RIVER ROBIN ROCKET SADDLE SALT SAND SCHOOL SHIP SILVER SPIDER SPOON STONE STORM SUGAR
    SUMMER SWAN TABLE TEMPLE TIGER TIMBER TOWER TRAIN TULIP TURTLE VALLEY VIOLIN WAGON WATER WHALE WINDOW
    WINTER WOLF ZEBRA
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
