"""The files outside the workflow that a dataset is made from."""

from pathlib import Path

from segchips.config.labels import LabelsConfig
from segchips.config.model import Dataset

SAMPLE = Path("resources/sample")
"""The folder of the sample's files, which the workflow itself makes."""


def is_sample(path: str) -> bool:
    """Whether the workflow makes the file itself."""
    return Path(path).is_relative_to(SAMPLE)


def tile_sources(dataset: Dataset) -> list[str]:
    """The files that say where tiles are, and in which split; each once."""
    tiles = dataset.tiles
    if tiles.keys is not None:
        places = [tiles.keys] if isinstance(tiles.keys, str) else []
    else:
        places = [tiles.aoi] if tiles.aoi else [layer.path for layer in dataset.labels.layers]
    return list(dict.fromkeys([*places, *split_sources(dataset)]))


def split_sources(dataset: Dataset) -> list[str]:
    """The file whose regions name splits; empty where splits do not follow regions."""
    return [str(dataset.splitting.path)] if dataset.splitting.by == "region" else []


def label_sources(dataset: Dataset) -> list[str]:
    """The files that hold label features and coverage, each once."""
    return list(dict.fromkeys(path for target in dataset.labels.targets.values() for path in target_sources(target)))


def target_sources(target: LabelsConfig) -> list[str]:
    """The files that hold the features and coverage of one target."""
    return [layer.path for layer in target.layers] + ([target.coverage.path] if target.coverage else [])


def catalogue_sources(dataset: Dataset) -> list[str]:
    """The catalogues of the layers that are files on this machine, each once."""
    catalogs = [str(layer.catalog) for layer in dataset.imagery.layers.values() if not layer.on_platform]
    return list(dict.fromkeys(catalog for catalog in catalogs if "://" not in catalog))
