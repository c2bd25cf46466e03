"""Chips with random pixels, and the config of records made from them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from segchips.config.tfrecords import TFRecordsConfig

Pixels = npt.NDArray[Any]

TRANSFORM = rasterio.Affine(10.0, 0, 465181.0522318204, 0, -10.0, 5079244.8912012065)
HALF_METRE_TRANSFORM = rasterio.Affine(0.5, 0, 465181.25, 0, -0.5, 5079244.75)


def random_pixels(dtype: npt.DTypeLike, shape: tuple[int, ...], seed: int = 0, limit: int | None = None) -> Pixels:
    """Random values of the dtype's whole range; floats have NaN and infinities.

    Args:
        dtype: The dtype of the pixels.
        shape: Their shape.
        seed: Seed of the random numbers.
        limit: For dtypes above 16 bits, draw whole numbers from -limit (or 0) to limit instead.
    """
    rng = np.random.default_rng(seed)
    if limit and np.dtype(dtype).itemsize > 2:
        return rng.integers(-limit if np.dtype(dtype).kind != "u" else 0, limit, shape, endpoint=True).astype(dtype)
    if np.dtype(dtype).kind in "fc":
        array = rng.normal(size=shape).astype(dtype)
        array.flat[::7], array.flat[::11] = np.nan, -np.inf
        return array
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def write_chip(path: Path, array: Pixels, **options: Any) -> None:
    """Write height x width x channels; options are tags, colormap, bands (descriptions) and those of rasterio."""
    tags, colormap, bands = options.pop("tags", {}), options.pop("colormap", None), options.pop("bands", None)
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": TRANSFORM} | options
    height, width, count = array.shape
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", height=height, width=width, count=count, dtype=array.dtype, **profile) as target:
        target.write(array.transpose(2, 0, 1))
        target.update_tags(**tags)
        if bands:
            target.descriptions = bands
        if colormap:
            target.write_colormap(1, colormap)


def write_chip_folders(
    root: Path,
    names: Iterable[str],
    shape: tuple[int, int, int] = (8, 9, 3),
    dtype: npt.DTypeLike = "uint8",
    **options: Any,
) -> dict[str, tuple[Pixels, Pixels]]:
    """Write image and label chips into `images` and `labels`; returns the pixels of both by name."""
    arrays = {}
    for seed, name in enumerate(names):
        arrays[name] = random_pixels(dtype, shape, seed), random_pixels("uint8", (*shape[:2], 1), 1000 + seed)
        write_chip(root / "images" / f"{name}.tif", arrays[name][0], transform=HALF_METRE_TRANSFORM, **options)
        write_chip(root / "labels" / f"{name}.tif", arrays[name][1], transform=HALF_METRE_TRANSFORM)
    return arrays


def write_png_pairs(folder: Path, count: int = 8) -> dict[str, tuple[Pixels, Pixels]]:
    """Write pairs of chips as another tool would leave them, with world files, and some that do not fit.

    Args:
        folder: Where to make `chips/images` and `chips/labels`.
        count: The number of pairs.

    Returns:
        The image (row x column x band) and label (row x column) of each pair, by its name.
    """
    rng = np.random.default_rng(1)
    pairs = {}
    for kind in ("images", "labels"):
        (folder / "chips" / kind).mkdir(parents=True)
    for number in range(count):
        image, label = (rng.integers(0, 255, (bands, 20, 30), dtype=np.uint8) for bands in (3, 1))
        for kind, pixels in (("images", image), ("labels", label)):
            path = folder / "chips" / kind / f"chip {number}.png"
            with rasterio.open(path, "w", "PNG", 30, 20, len(pixels), dtype="uint8") as file:
                file.write(pixels)
            path.with_suffix(".pgw").write_text(f"10\n0\n0\n-10\n{5000 + 300 * number}\n8000\n")
        pairs[f"chip {number}"] = (image.transpose(1, 2, 0), label[0])
    (folder / "chips/images/alone.png").write_bytes((folder / "chips/images/chip 0.png").read_bytes())
    for kind in ("images", "labels"):
        (folder / "chips" / kind / "torn.png").write_bytes(b"\x89PNG\r\n")
    return pairs


def records_config(
    storage: Any = "array",
    shards: int | None = 2,
    compression: Any = None,
    splits: dict[str, float] | None = None,
) -> TFRecordsConfig:
    """The `tfrecords` block of a config."""
    return TFRecordsConfig(storage, shards, compression, splits or {"train": 0.6, "val": 0.2, "test": 0.2})


def read_chips(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Pixels and metadata of each chip by tile key, without the names of its scenes."""
    chips = {}
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as chip:
            about = chip.dtypes, chip.nodatavals, chip.crs, chip.transform, chip.descriptions, chip.tags()["VALID"]
            chips[path.stem.replace("#", ":")] = (chip.read().tobytes(), *about)
    return chips
