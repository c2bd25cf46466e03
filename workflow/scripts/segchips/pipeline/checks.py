"""Checks of a dataset's inputs before any job runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segchips.config.imagery import ImageryConfig
from segchips.config.model import Conversion, Dataset
from segchips.config.tiles import IMAGERY
from segchips.errors import InputError, SegchipsError
from segchips.labels.raster_layer import check_raster_keys
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.search_bounds import search_bounds
from segchips.pipeline.sources import is_sample, target_sources
from segchips.records.chip_folders import find_pairs
from segchips.records.chip_splits import listed_splits
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.product_collections import searched_imagery
from segchips.scenes.query import SceneQuery
from segchips.scenes.resolve import no_scenes_message
from segchips.scenes.usable import usable_scenes, wanted_bands
from segchips.tiles.area import aoi_layers, find_tiles, read_tile_keys
from segchips.tiles.label_rasters import raster_files
from segchips.vectors.geometry import Geometries
from segchips.vectors.layers import find_layer
from segchips.vectors.points import read_points


def check_writable(results: Path) -> None:
    """InputError where the results folder cannot be made or written to."""
    nearest = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = f"'{nearest}' is not a folder that you can write to"
        raise InputError(
            f"results: '{results}' cannot be written ({reason}); choose another folder or change its permissions"
        )


def check_inputs(datasets: Datasets, name: str) -> None:
    """Check a dataset's files, layers, attributes, values and keys, but not what is locked already.

    Files of the sample, which the workflow itself makes, may be missing.

    Raises:
        InputError: It names the config key, the file and what is wrong.
    """
    with _naming(f"datasets.{name}"):
        _check_tiles(datasets[name])
        _check_labels(datasets, name)


def check_conversion(conversion: Conversion) -> None:
    """Check that there are pairs of chips."""
    with _naming(f"datasets.{conversion.name}: chips"):
        pairs = find_pairs(conversion.chips).pairs
        if conversion.chips.splits:
            listed_splits([pair.name for pair in pairs], conversion.chips.splits)


def _check_tiles(dataset: Dataset) -> None:
    config = dataset.tiles
    if config.keys is not None:
        read_tile_keys(config.keys, None if config.grid == IMAGERY else config.tile_grid())
    elif config.centers and not _will_be_made(config.centers):
        with _naming("tiles.centers"):
            read_points(config.centers, config.layer)
    elif config.aoi and not _will_be_made(config.aoi):
        with _naming("tiles.aoi"):
            find_layer(config.aoi, config.layer)
    splits = dataset.splitting
    if splits.by == "region" and not _will_be_made(str(splits.path)):
        with _naming("splitting.path"):
            find_layer(str(splits.path), splits.layer, splits.attribute)


def _check_labels(datasets: Datasets, name: str) -> None:
    for part, target in datasets[name].labels.targets.items():
        paths, coverage = target_sources(target), target.coverage
        if any(_will_be_made(path) for path in paths):
            continue
        with _naming(f"labels.targets.{part}" if part else "labels"):
            for layer in target.layers:
                if raster_files(layer.path, layer.asset):
                    check_raster_keys(layer)
                else:
                    find_layer(layer.path, layer.layer, layer.attribute, layer.options)
            if coverage:
                find_layer(coverage.path, coverage.layer, options=coverage.options)
            if not _is_newer(datasets.folder(name) / "labels.parquet", paths):
                datasets.features(name, part)


def check_pinned_scenes(datasets: Datasets, name: str) -> bool:
    """Check that pinned scenes have the bands of the config.

    Returns:
        Whether the lock answers the config's search; otherwise the catalogue has to be asked.

    Raises:
        InputError: No pinned scene of a product has the bands.
    """
    if not datasets.has_result(name, "scenes.parquet"):
        return False
    try:
        locks = datasets.scene_locks(name)
    except InputError:
        return True  # the step that reads it says so
    layers = datasets[name].imagery.layers
    if any(layer not in locks or locks[layer].query != SceneQuery.of(layers[layer]).text for layer in layers):
        return False
    for layer, imagery in layers.items():
        with _naming(f"datasets.{name}"), _naming(f"{_layer_key(layer)}.products"):
            usable_scenes(imagery, locks[layer])
    return True


def check_catalogue(datasets: Datasets, name: str) -> None:
    """Check that there is a catalogue with scenes that have the products and bands of the config.

    The search is that of the run, in the bounds of the area, and ends at the first scene of each product that can be
    used. The catalogue of the sample may be missing.
    """
    dataset = datasets[name]
    with _naming(f"datasets.{name}"):
        area = search_bounds(dataset)
        for layer, imagery in dataset.imagery.layers.items():
            _check_catalogue(imagery, _layer_key(layer), area, dataset)


def _layer_key(layer: str) -> str:
    return f"imagery.layers.{layer}" if layer else "imagery"


def _check_catalogue(imagery: ImageryConfig, key: str, area: Geometries | None, dataset: Dataset) -> None:
    if not imagery.on_platform and _will_be_made(str(imagery.catalog)):
        return
    imagery = searched_imagery(imagery)
    part = "source" if imagery.on_platform else "path" if imagery.source == "files" else "catalog"
    with _naming(f"{key}.{part}"):
        catalogue = open_catalogue(imagery)
    wanted, found = wanted_bands(imagery), []
    levels = {product.id: product.processing_level for product in imagery.products}
    for product, level in levels.items():
        with _naming(f"{key}.products"):
            found.append(catalogue.check(product, wanted[product], level, area))
    for product in wanted.keys() - levels.keys():
        with _naming(f"{key}.cloud_mask"):
            catalogue.check(product, wanted[product], None, area)
    if not any(found):
        if dataset.tiles.grid != IMAGERY:
            find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels))  # its errors explain more
        raise InputError(no_scenes_message(imagery, "the area", catalogue.skipped_items))


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the config key before the message of what goes wrong inside."""
    try:
        yield
    except SegchipsError as error:
        raise type(error)(f"{key}: {error}") from error


def _will_be_made(path: str) -> bool:
    return is_sample(path) and not Path(path).exists()


def _is_newer(made: Path, sources: list[str]) -> bool:
    """Whether `made` exists and is not older than any of the files it comes from."""
    return made.exists() and all(
        Path(path).exists() and Path(path).stat().st_mtime <= made.stat().st_mtime for path in sources
    )
