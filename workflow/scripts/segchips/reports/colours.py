"""The colours of the report."""

import colorsys

Colour = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""

BACKGROUND: Colour = (232, 232, 232)
UNKNOWN: Colour = (96, 96, 96)
NO_SPLIT: Colour = (150, 150, 150)
CONFLICT_COLOURS: tuple[Colour, ...] = ((254, 217, 118), (253, 141, 60), (227, 26, 28), (128, 0, 38))
"""From few to many pixels in conflict."""
CLASS_COLOURS = (
    "0072b2 009e73 f0e442 d55e00 cc79a7 e69f00 56b4e9 000000 332288 882255 999933 44aa99 aa4499 117733 661100"
)
"""The palette of Okabe and Ito, then the muted one of Tol; colour-blind readers can distinguish them."""
SPLIT_COLOURS = "4477aa ee6677 228833 ccbb44 66ccee aa3377 777777"
"""Tol's bright palette."""


def palette(preferred: str, count: int) -> list[Colour]:
    """`count` different colours: the preferred ones (hex codes, separated by spaces), then generated ones."""
    colours = [_from_hex(code) for code in preferred.split()][:count]
    return [*colours, *(_generated_colour(number) for number in range(count - len(colours)))]


def css_colour(colour: Colour) -> str:
    """The colour as a CSS hex code."""
    return "#" + bytes(colour).hex()


def _from_hex(code: str) -> Colour:
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


def _generated_colour(number: int) -> Colour:
    """Hues by the golden angle in three lightnesses, so that neighbours differ clearly."""
    red, green, blue = colorsys.hls_to_rgb(number * 0.618034 % 1, (0.35, 0.55, 0.75)[number % 3], 0.6)
    return round(255 * red), round(255 * green), round(255 * blue)
