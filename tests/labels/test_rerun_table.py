"""Which label chips a change outdates, for each kind of label, and that no other chip's bytes change."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from pydantic import TypeAdapter
from rasterio.transform import Affine

from segchips.config.labels import LabelsConfig
from segchips.labels.chip import make_label
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels
from support.label_features import TILE, UTM
from support.vectors import write_vectors

EAST_TILE = replace(TILE, path=TILE.path + 1)
TILES = (TILE, EAST_TILE)
WEST, SOUTH, _, NORTH = TILE.bounds
_, _, EAST, _ = EAST_TILE.bounds
WEST_SQUARE, EAST_SQUARE = (shapely.box(x, SOUTH + 52, x + 80, SOUTH + 132) for x in (WEST + 52, EAST - 132))
FAR = shapely.box(EAST + 500, SOUTH, EAST + 600, SOUTH + 100)


def raster(folder: Path, dtype: str = "uint8", **profile: Any) -> None:
    pixels = np.random.default_rng(1).integers(1, 9, (50, 90)).astype(dtype)
    transform = Affine(10, 0, WEST - 50, 0, -10, NORTH + 50)
    shape = {"height": 50, "width": 90, "count": 1, "dtype": dtype}
    with rasterio.open(folder / "map", "w", driver="GTiff", crs=UTM, transform=transform, **shape, **profile) as file:
        file.write(pixels, 1)


def change_pixel(x: float, y: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with rasterio.open(folder / "map", "r+") as file:
            row, column = file.index(x, y)
            pixels = file.read(1)
            pixels[row, column] += 1
            file.write(pixels, 1)

    return change


def vectors(shapes: list[Any], **attributes: Any) -> Callable[[Path], None]:
    """Writes the layer; an edit writes it again."""

    def write(folder: Path) -> None:
        path = folder / "map.gpkg"
        path.unlink(missing_ok=True)
        write_vectors(path, shapes, UTM, **attributes)

    return write


def touch(folder: Path) -> None:
    for file in folder.iterdir():
        os.utime(file, (1, 1))


def compress(folder: Path) -> None:
    with rasterio.open(folder / "map") as file:
        pixels, profile = file.read(), file.profile
    with rasterio.open(folder / "map", "w", **profile | {"compress": "deflate"}) as file:
        file.write(pixels)


SQUARES = [WEST_SQUARE, EAST_SQUARE, FAR]
MOVED = shapely.affinity.translate(WEST_SQUARE, 10, 0)
ROADS = [shapely.LineString([(one.bounds[0], one.bounds[1]), (one.bounds[2], one.bounds[3])]) for one in SQUARES]
PLACES = [one.centroid for one in SQUARES]
UNDER_WEST, UNDER_EAST, BESIDE = (WEST + 55, SOUTH + 55), (EAST - 55, SOUTH + 55), (WEST + 55, NORTH + 45)
CLASSES = {str(value): value for value in range(1, 10)}
RASTER, HEIGHTS = {"path": "map", "unknown": 254, "classes": CLASSES}, {"path": "map", "kind": "continuous"}
FIELDS = {"path": "map.gpkg", "attribute": "number"}
HEIGHT_OF, OBJECTS = FIELDS | {"kind": "continuous"}, FIELDS | {"kind": "instances"}
# What is there first, the config, the change of file or config, and the tiles whose chips it outdates.
ROWS: dict[str, tuple[Callable[[Path], None], dict[str, Any], Any, set[int]]] = {
    "a class raster is touched": (raster, RASTER, touch, set()),
    "a class raster is compressed": (raster, RASTER, compress, set()),
    "a pixel under a tile": (raster, RASTER, change_pixel(*UNDER_WEST), {0}),
    "a pixel under the other": (raster, RASTER, change_pixel(*UNDER_EAST), {1}),
    "a pixel beside the tiles": (raster, RASTER, change_pixel(*BESIDE), set()),
    "a class that no pixel has": (raster, RASTER, {"classes": CLASSES | {"77": 1}}, set()),
    "a class that pixels have": (raster, RASTER, {"classes": CLASSES | {"3": 77}}, {0, 1}),
    "nodata that no pixel has": (raster, RASTER, {"nodata": 200}, set()),
    "nodata that pixels have": (raster, RASTER, {"nodata": 3}, {0, 1}),
    "mode of equal pixels": (raster, RASTER, {"resampling": "mode"}, set()),
    "a height under a tile": (lambda folder: raster(folder, "float32"), HEIGHTS, change_pixel(*UNDER_WEST), {0}),
    "a height beside the tiles": (lambda folder: raster(folder, "float32"), HEIGHTS, change_pixel(*BESIDE), set()),
    "heights are touched": (lambda folder: raster(folder, "float32"), HEIGHTS, touch, set()),
    "a polygon moves": (
        vectors(SQUARES, number=[1, 2, 3]), FIELDS, vectors([MOVED, *SQUARES[1:]], number=[1, 2, 3]), {0},
    ),
    "a polygon comes from afar": (
        vectors(SQUARES, number=[1, 2, 3]), FIELDS, vectors([*SQUARES[:2], MOVED.buffer(1e-3)], number=[1, 2, 3]), {0},
    ),
    "a class changes": (vectors(SQUARES, number=[1, 2, 3]), FIELDS, vectors(SQUARES, number=[1, 5, 3]), {1}),
    "another attribute changes": (
        vectors(SQUARES, number=[1, 2, 3], name=["a", "b", "c"]), FIELDS,
        vectors(SQUARES, number=[1, 2, 3], name=["x", "y", "z"]), set(),
    ),
    "a polygon far off is deleted": (
        vectors(SQUARES, number=[1, 2, 3]), FIELDS, vectors(SQUARES[:2], number=[1, 2]), set(),
    ),
    "a height of a polygon": (vectors(SQUARES, number=[1.5, 2, 3]), HEIGHT_OF, vectors(SQUARES, number=[9, 2, 3]), {0}),
    "an object moves": (
        vectors(SQUARES, number=[1, 2, 3]), OBJECTS, vectors([MOVED, *SQUARES[1:]], number=[1, 2, 3]), {0},
    ),
    "an object far off is deleted": (
        vectors(SQUARES, number=[1, 2, 3]), OBJECTS, vectors(SQUARES[:2], number=[1, 2]), set(),
    ),
    "boundaries": (vectors(SQUARES, number=[1, 2, 3]), FIELDS, {"boundary": 9}, {0, 1}),
    "a buffer of one line": (
        vectors(ROADS, number=[1, 2, 3], width=[10, 10, 10]), FIELDS | {"buffer": "width"},
        vectors(ROADS, number=[1, 2, 3], width=[10, 20, 20]), {1},
    ),
    "a point moves": (
        vectors(PLACES, number=[1, 2, 3]), FIELDS, vectors([MOVED.centroid, *PLACES[1:]], number=[1, 2, 3]), {0},
    ),
}  # fmt: skip


def state(folder: Path, block: dict[str, Any]) -> tuple[list[str], list[bytes]]:
    """The digest and the bytes of each tile's chip."""
    config = TypeAdapter(LabelsConfig).validate_python(block | {"path": str(folder / block["path"])})
    features, chip = LabelFeatures(config), folder.parent / "chip.tif"
    lock, chips = lock_labels(features, TILES, "code"), []
    for tile in TILES:
        make_label(features, tile, lock.feature_indices[tile.key], chip)
        chips.append(chip.read_bytes())
    return list(lock.digests.values()), chips


@pytest.mark.parametrize("name", ROWS)
def test_a_change_outdates_the_chips_it_touches(tmp_path: Path, name: str) -> None:
    prepare, block, change, expected = ROWS[name]
    (tmp_path / "data").mkdir()
    prepare(tmp_path / "data")
    digests, chips = state(tmp_path / "data", block)
    if isinstance(change, dict):
        block = block | change
    else:
        change(tmp_path / "data")
    other_digests, other_chips = state(tmp_path / "data", block)
    assert {number for number in range(2) if digests[number] != other_digests[number]} == expected
    assert {number for number in range(2) if chips[number] != other_chips[number]} == expected
