"""Draws docs/sample.png, the picture in the README: image, label and overlay of three chips of the sample."""

import sys
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

TILES = ("60#2#10.0#33#-332#8906", "60#2#10.0#33#-330#8905", "60#2#10.0#33#-328#8907")
COLOURS = {1: "0072b2", 2: "009e73", 3: "f0e442", 4: "d55e00", 5: "cc79a7"}
SIZE, GAP, BRIGHTEST = 192, 8, 2400


def panels(folder: Path, tile: str) -> list[np.ndarray]:
    """The image of a chip, its label, and the label over the image, each as red, green and blue from 0 to 255."""
    with rasterio.open(folder / "images" / f"{tile}.tif") as chip:
        image = np.clip(chip.read([1, 2, 3]).transpose(1, 2, 0) / BRIGHTEST, 0, 1) * 255
    with rasterio.open(folder / "labels" / f"{tile}.tif") as chip:
        classes = chip.read(1)
    lookup = np.full((256, 3), 232.0)
    for value, code in COLOURS.items():
        lookup[value] = list(bytes.fromhex(code))
    label, labelled = lookup[classes], (classes != 255)[..., None]
    return [image, label, np.where(labelled, 0.6 * image + 0.4 * label, image)]


def picture(folder: Path) -> Image.Image:
    """The panels of all chips, side by side."""
    side = SIZE + GAP
    sheet = Image.new("RGB", (len(TILES) * (3 * side + GAP) - 2 * GAP, SIZE), "white")
    for number, tile in enumerate(TILES):
        for column, panel in enumerate(panels(folder, tile)):
            resized = Image.fromarray(panel.round().astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.NEAREST)
            sheet.paste(resized, (number * (3 * side + GAP) + column * side, 0))
    return sheet


if __name__ == "__main__":
    picture(Path(sys.argv[1])).save(Path(__file__).with_name("sample.png"), optimize=True)
