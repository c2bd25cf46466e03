"""The colours of the report."""

Colour = tuple[int, int, int]

BACKGROUND: Colour = (232, 232, 232)
UNKNOWN: Colour = (96, 96, 96)
NO_SPLIT: Colour = (150, 150, 150)
# From few to many.
CONFLICT_COLOURS: tuple[Colour, ...] = ((254, 217, 118), (253, 141, 60), (227, 26, 28), (128, 0, 38))
# Okabe and Ito's colours, then Tol's muted ones: told apart by colour-blind readers.
CLASS_COLOURS = (
    "0072b2 009e73 f0e442 d55e00 cc79a7 e69f00 56b4e9 000000 332288 882255 999933 44aa99 aa4499 117733 661100"
)
# Tol's bright colours.
SPLIT_COLOURS = "4477aa ee6677 228833 ccbb44 66ccee aa3377 777777"


def palette(known: str, count: int) -> list[Colour]:
    """`count` different colours, the known ones (hex digits, spaced) first."""
    given = [tuple(bytes.fromhex(code)) for code in known.split()][:count]
    return [*given, *(_hue(number) for number in range(count - len(given)))]  # type: ignore[list-item]


def _hue(number: int) -> Colour:
    """Hues by the golden angle in three lightnesses, so that neighbours differ."""
    import colorsys

    red, green, blue = colorsys.hls_to_rgb(number * 0.618034 % 1, (0.35, 0.55, 0.75)[number % 3], 0.6)
    return round(255 * red), round(255 * green), round(255 * blue)


def css_colour(colour: Colour) -> str:
    """The colour as CSS has it."""
    return "#" + bytes(colour).hex()
