"""The files outside the workflow that a dataset is made from."""

from collections.abc import Sequence
from pathlib import Path

from segchips.config.labels import LabelLayer, LabelsConfig
from segchips.config.model import Dataset
from segchips.config.tiles import IMAGERY
from segchips.tiles.label_rasters import raster_files, source_files

SAMPLE = Path("resources/sample")
"""The folder of the sample's files."""
_SAMPLE_FILES = [SAMPLE / name for name in ("catalog.json", "aoi.gpkg", "labels.gpkg")]


def is_sample(path: str) -> bool:
    """Whether the workflow makes the file itself."""
    return Path(path) in _SAMPLE_FILES


def tile_sources(dataset: Dataset) -> list[str]:
    """The files that say where tiles are, and in which split; each once."""
    tiles = dataset.tiles
    if tiles.centers is not None:
        places = [tiles.centers]
    elif tiles.keys is not None:
        places = [tiles.keys] if isinstance(tiles.keys, str) else []
    else:
        places = [tiles.aoi] if tiles.aoi else _layer_files(dataset.labels.layers)
    return list(dict.fromkeys([*places, *split_sources(dataset)]))


def tile_inputs(dataset: Dataset) -> list[str]:
    """The files that step `tiles` reads: `tile_sources`, and the catalogue where tiles follow the scenes' pixels."""
    return [*tile_sources(dataset), *(catalogue_sources(dataset) if dataset.tiles.grid == IMAGERY else [])]


def split_sources(dataset: Dataset) -> list[str]:
    """The file whose regions name splits; empty where splits do not follow regions."""
    return [str(dataset.splitting.path)] if dataset.splitting.by == "region" else []


def label_sources(dataset: Dataset) -> list[str]:
    """The files that hold label features, label pixels and coverage, each once."""
    return list(dict.fromkeys(path for target in dataset.labels.targets.values() for path in target_sources(target)))


def legend_sources(dataset: Dataset) -> list[str]:
    """The rasters of labels, with the files beside them that name and colour their values; each once."""
    layers = [layer for target in dataset.labels.targets.values() for layer in target.layers if layer.may_be_raster]
    return list(dict.fromkeys(_layer_files([layer for layer in layers if raster_files(layer.path, layer.asset)])))


def report_sources(dataset: Dataset) -> list[str]:
    """The files that say where tiles are, and that name and colour the classes of labels; each once."""
    return list(dict.fromkeys([*tile_sources(dataset), *legend_sources(dataset)]))


def target_sources(target: LabelsConfig) -> list[str]:
    """The files that hold the features, pixels and coverage of one target."""
    coverage = [target.coverage.path] if target.coverage else []
    return _layer_files(target.layers) + coverage


def _layer_files(layers: Sequence[LabelLayer]) -> list[str]:
    return [file for layer in layers for file in source_files(layer.path, layer.asset)]


def catalogue_sources(dataset: Dataset) -> list[str]:
    """The catalogues of the layers that are files on this machine, each once."""
    catalogs = [
        str(layer.catalog) for layer in dataset.imagery.layers.values() if layer.catalog and not layer.on_platform
    ]
    return list(dict.fromkeys(catalog for catalog in catalogs if "://" not in catalog))
