"""Labels of a large class raster and of many polygons, each beside a plain loop over rasterio or GeoPandas.

python tests/benchmarks/labels.py [side polygons]      10000 pixels and 1000000 polygons unless named
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import geopandas
import numpy as np
import pyogrio.raw
import rasterio
import shapely
from pydantic import TypeAdapter
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.windows import Window

from segchips.config.labels import LabelsConfig
from segchips.files import content_digest
from segchips.grids.tile import Tile
from segchips.labels.chip import make_label
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels

SIZE, METRES, WEST, NORTH = 256, 10, 256 * 10 * 100, 256 * 10 * 2000
CRS = "EPSG:32633"


def tiles_over(columns: int, rows: int) -> list[Tile]:
    """Tiles without padding, whose pixels are those of the raster."""
    step = SIZE * METRES
    column, row = (WEST - 500_000) / step, NORTH // step
    return [
        Tile.from_key(f"{SIZE}:0:{METRES}.0:33:{int(np.floor(column)) + 1 + c}:{row - 2 - r}")
        for r in range(rows)
        for c in range(columns)
    ]


def window_of(tile: Tile) -> Window:
    west, _, _, north = tile.bounds
    return Window(round((west - WEST) / METRES), round((NORTH - north) / METRES), SIZE, SIZE)


def write_raster(path: Path, side: int) -> None:
    """Classes in patches of 25 pixels, with 2 % of other classes scattered over them."""
    rng, block = np.random.default_rng(1), 1024
    transform = Affine(METRES, 0, WEST, 0, -METRES, NORTH)
    shape = {"width": side, "height": side, "count": 1, "dtype": "uint8", "nodata": 0}
    tiling = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", crs=CRS, transform=transform, **shape, **tiling) as file:
        for top in range(0, side, block):
            height = min(block, side - top)
            pixels = rng.integers(1, 11, (height // 25 + 1, side // 25 + 1), "uint8").repeat(25, 0).repeat(25, 1)
            pixels = pixels[:height, :side]
            other = rng.random(pixels.shape) < 0.02
            pixels[other] = rng.integers(1, 11, other.sum(), "uint8")
            file.write(pixels, 1, window=Window(0, top, side, height))


def write_polygons(path: Path, count: int) -> None:
    """Fields of about 50 m, side by side."""
    rng, side = np.random.default_rng(2), int(np.ceil(np.sqrt(count)))
    x, y = (axis.ravel()[:count] * 55.0 for axis in np.meshgrid(np.arange(side), np.arange(side)))
    size = rng.uniform(20, 55, (2, count))
    shapes = shapely.box(WEST + x, NORTH - y - size[1], WEST + x + size[0], NORTH - y)
    crop = rng.integers(1, 11, count)
    pyogrio.raw.write(
        path, shapely.to_wkb(shapes), [crop], ["crop"], layer="fields", geometry_type="Polygon", crs=CRS, driver="GPKG"
    )


@contextmanager
def timed(what: str, count: int):
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:58} {wall:7.1f} s, CPU {cpu:7.2f} s, {1000 * cpu / count:7.3f} ms a tile, {memory:6.0f} MB", flush=True
    )


def in_process(body: Callable[..., None], *arguments: object) -> None:
    """Run in a process of its own, so that memory and caches are its own."""
    process = get_context("spawn").Process(target=body, args=arguments)
    process.start()
    process.join()


def features_of(**block: object) -> LabelFeatures:
    return LabelFeatures(TypeAdapter(LabelsConfig).validate_python(block))


def rasterio_reads(path: Path, tiles: list[Tile]) -> None:
    with timed("rasterio: reads, masked", len(tiles)), rasterio.open(path) as source:
        for tile in tiles:
            source.read(1, window=window_of(tile), masked=True)


def segchips_reads(path: Path, tiles: list[Tile]) -> None:
    with timed("segchips: label pixels", len(tiles)):
        features = features_of(path=str(path), unknown=254)
        for tile in tiles:
            features.burn(tile, [])


def rasterio_chips(path: Path, tiles: list[Tile], folder: Path) -> None:
    profile = {"driver": "GTiff", "width": SIZE, "height": SIZE, "count": 1, "dtype": "uint8", "compress": "lzw"}
    with timed("rasterio: reads, masked, and writes", len(tiles)), rasterio.open(path) as source:
        for number, tile in enumerate(tiles):
            pixels = source.read(1, window=window_of(tile), masked=True).filled(254)
            transform = Affine.from_gdal(*tile.geotransform)
            with rasterio.open(folder / f"{number}.tif", "w", crs=CRS, transform=transform, **profile) as file:
                file.write(pixels, 1)


def segchips_chips(path: Path, tiles: list[Tile], folder: Path) -> None:
    with timed("segchips: label jobs", len(tiles)):
        features = features_of(path=str(path), unknown=254)
        for number, tile in enumerate(tiles):
            make_label(features, tile, [], folder / f"{number}.tif")


def lock_raster(path: Path, tiles: list[Tile]) -> None:
    with timed("segchips: first label lock", len(tiles)):
        lock_labels(features_of(path=str(path), unknown=254), tiles, "")
    with timed("segchips: check that the file is the same", len(tiles)):
        content_digest(path)


def lock_polygons(path: Path, tiles: list[Tile]) -> None:
    with timed("segchips: first label lock", len(tiles)):
        features = features_of(path=str(path), attribute="crop")
        lock = lock_labels(features, tiles, "")
    with timed("segchips: check that the file is the same", len(tiles)):
        content_digest(path)
    with timed("segchips: label pixels", len(tiles)):
        for tile in tiles:
            features.burn(tile, lock.feature_indices[tile.key])


def geopandas_loop(path: Path, tiles: list[Tile]) -> None:
    with timed("GeoPandas: file and index", len(tiles)):
        frame = geopandas.read_file(path)
        index = frame.sindex
    with timed("GeoPandas and rasterize in a loop", len(tiles)):
        for tile in tiles:
            some = frame.iloc[np.sort(index.query(shapely.box(*tile.bounds)))]
            rasterize(
                zip(some.geometry, some["crop"], strict=True),
                out_shape=(SIZE, SIZE),
                fill=255,
                transform=Affine.from_gdal(*tile.geotransform),
                all_touched=True,
                dtype="uint8",
            )


def main(side: int = 10_000, polygons: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        raster, fields, chips = Path(scratch, "map.tif"), Path(scratch, "fields.gpkg"), Path(scratch, "chips")
        chips.mkdir()
        if side:
            in_process(write_raster, raster, side)
            tiles = tiles_over(side // SIZE - 1, side // SIZE - 1)
            print(f"class raster of {side:,} x {side:,} pixels, {len(tiles):,} tiles of {SIZE} px")
            for body in (rasterio_reads, segchips_reads, lock_raster):
                in_process(body, raster, tiles)
            for body in (rasterio_chips, segchips_chips):
                in_process(body, raster, tiles, chips)
        if polygons:
            in_process(write_polygons, fields, polygons)
            across = int(np.sqrt(polygons) * 55 / (SIZE * METRES)) - 1
            tiles = tiles_over(across, across)
            print(f"{polygons:,} polygons, {len(tiles):,} tiles of {SIZE} px")
            for body in (lock_polygons, geopandas_loop):
                in_process(body, fields, tiles)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
