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
from segchips.pipeline.sources import is_sample, target_sources
from segchips.records.chip_folders import find_pairs
from segchips.records.chip_splits import listed_splits
from segchips.scenes.catalogue import open_catalogue
from segchips.tiles.area import read_tile_keys
from segchips.tiles.label_rasters import raster_files
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
                if raster_files(layer.path):
                    check_raster_keys(layer)
                else:
                    find_layer(layer.path, layer.layer, layer.attribute, layer.options)
            if coverage:
                find_layer(coverage.path, coverage.layer, options=coverage.options)
            if not _is_newer(datasets.folder(name) / "labels.parquet", paths):
                datasets.features(name, part)


def check_catalogue(dataset: Dataset) -> None:
    """Check that there is a catalogue with the products and bands; that of the sample may be missing."""
    with _naming(f"datasets.{dataset.name}"):
        for name, layer in dataset.imagery.layers.items():
            _check_catalogue(layer, f"imagery.layers.{name}" if name else "imagery")


def _check_catalogue(imagery: ImageryConfig, key: str) -> None:
    if not imagery.on_platform and _will_be_made(str(imagery.catalog)):
        return
    with _naming(f"{key}.source" if imagery.on_platform else f"{key}.catalog"):
        catalogue = open_catalogue(imagery)
    with _naming(f"{key}.products"):
        for product in imagery.products:
            asset = (imagery.cloud_mask.asset,) if imagery.cloud_mask and imagery.cloud_mask.asset else ()
            catalogue.check(product.id, (*product.bands, *asset), product.processing_level)
    if imagery.cloud_mask and imagery.cloud_mask.product:
        with _naming(f"{key}.cloud_mask"):
            catalogue.check(imagery.cloud_mask.product, [str(imagery.cloud_mask.band)], None)


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
