"""Writes a starting config from what the user's files say about imagery, labels and area."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from segchips.commands.labels_block import LabelsSurvey, labels_block, labels_notes, labels_summary
from segchips.commands.surveyed_imagery import ImagerySurvey
from segchips.config.model import Dataset
from segchips.config.tiles import IMAGERY
from segchips.errors import InputError
from segchips.grids.pixel_grid import PixelGrid
from segchips.grids.tile import Grid
from segchips.vectors.antimeridian import to_lonlat_geometries

FEW_TILES = 100


def starting_config(
    name: str, imagery: Sequence[ImagerySurvey], labels: LabelsSurvey, aoi: str | None
) -> dict[str, Any]:
    """Returns the config of one dataset: what the files say, and common values for other keys.

    Several sources of imagery become layers.
    """
    size = min(source.pixel_size for source in imagery)
    grid = Grid(256, 8, size) if size < 5 else Grid(64, 2, size)
    resolution = int(grid.resolution) if grid.resolution == int(grid.resolution) else grid.resolution
    tiles = {"size": grid.size, "pad": grid.pad, "resolution": resolution} | ({"aoi": aoi} if aoi else {})
    if len(imagery) == 1:
        block = _layer(imagery[0]) | {"min_valid": 0.1}
    else:
        block = {"layers": {layer: _layer(source) for layer, source in layer_names(imagery).items()}, "min_valid": 0.1}
    return {
        "results": "results",
        "defaults": {
            "tiles": tiles,
            "imagery": block,
            "labels": labels_block(labels),
            "tfrecords": {"shards": 4, "splits": {"train": 0.8, "val": 0.1, "test": 0.1}},
        },
        "datasets": {name: {}},
    }


def layer_names(imagery: Sequence[ImagerySurvey]) -> dict[str, ImagerySurvey]:
    """Returns the sources by names that layers can have: lower case, and different from each other."""
    layers: dict[str, ImagerySurvey] = {}
    for number, source in enumerate(imagery, 1):
        name = re.sub("[^a-z0-9]+", "_", source.name.lower()).strip("_")
        name = name if re.match("[a-z]", name) else f"layer_{name}".rstrip("_")
        name = name if name not in _RESERVED else f"{name}_{number}"
        layers[name if name not in layers else f"{name}_{number}"] = source
    return layers


_RESERVED = {"image", "label", "target", "identifier", "crs", "transform", "split", "bands", "acquired"}


def _layer(source: ImagerySurvey) -> dict[str, Any]:
    """The block of one layer."""
    product: dict[str, Any] = {"bands": list(source.bands)} if source.bands else {}
    if source.resampling:
        product["resampling"] = source.resampling
    if source.nodata is not None:  # of a picture, a dark band alone is no missing pixel
        value = int(source.nodata) if source.nodata == int(source.nodata) else source.nodata
        product["nodata"] = {"value": value, "when": "all"} if source.is_picture else value
    if source.product is None:
        return {"source": "files", "path": source.place} | (
            {"products": [{"id": "files", **product}]} if product else {}
        )
    sign = {"sign": source.sign} if source.sign else {}
    mask = {"cloud_mask": dict(source.mask)} if source.mask else {}
    days = {"start": source.start, "end": source.end, "composite": "closest", "reference_date": source.middle}
    if source.start is None:
        days = {"composite": "closest"}
    return {"catalog": source.place, **sign, "products": [{"id": source.product, **product}], **days, **mask}


def config_notes(imagery: Sequence[ImagerySurvey], labels: LabelsSurvey, resampled: bool = True) -> list[str]:
    """Returns what the user should check, as comments for the config.

    Args:
        imagery: The layers.
        labels: The labels.
        resampled: Whether tiles have a grid of their own, rather than that of the imagery.
    """
    notes = ["Written by segchips init; config/README.md explains every key."]
    notes += ["Check: dates, bands, composite, min_valid, splits."]
    notes += labels_notes(labels)
    for layer, source in layer_names(imagery).items():
        key = "imagery" if len(imagery) == 1 else f"imagery.layers.{layer}"
        notes += [f"{key}: {note}." for note in _imagery_notes(source)]
    if any(source.off_utm for source in imagery) and resampled:
        notes.append(
            "tiles: the imagery's CRS is no UTM zone, so its pixels are resampled; grid: imagery without resolution "
            "takes them as they are."
        )
    return [*notes, "splitting: {by: block} keeps splits apart on the ground; use it for hundreds of tiles."]


def _imagery_notes(source: ImagerySurvey) -> Iterator[str]:
    yield from source.notes
    if not source.nodata_is_declared and source.nodata is None and source.sign is None:
        yield (
            "neither catalogue nor files declare nodata; if a value marks missing pixels, add nodata: VALUE to the "
            "product"
        )
    if source.start and source.place.startswith("http"):
        yield f"{source.start} to {source.end} is the year of the labels, or else the latest of the catalogue"


def on_own_grid(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config, with the grid of the files' own pixels where it has one layer of files that share one."""
    from segchips.config.loading import load_config

    tiles, imagery = config["defaults"]["tiles"], config["defaults"]["imagery"]
    if imagery.get("source") != "files":
        return config
    own = {key: value for key, value in tiles.items() if key != "resolution"} | {"grid": "imagery"}
    changed = {**config, "defaults": {**config["defaults"], "tiles": own}}
    (dataset,) = load_config(changed).datasets.values()
    try:
        _pixels(dataset)
    except InputError:
        return config
    return changed


def count_tiles(config: Mapping[str, Any]) -> int:
    """Returns how many tiles the config makes.

    Raises:
        ConfigError: A key or value cannot be used.
        InputError: A file cannot be used.
    """
    from segchips.config.loading import load_config
    from segchips.tiles.area import aoi_layers, find_tiles

    (dataset,) = load_config(config).datasets.values()
    pixels = _pixels(dataset) if dataset.tiles.grid == IMAGERY else None
    return len(find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels), pixels))


def _pixels(dataset: Dataset) -> PixelGrid:
    """The pixel grid of the scenes that meet the area.

    Raises:
        InputError: They share none.
    """
    from segchips.chips.imagery_grid import find_pixel_grid
    from segchips.tiles.area import aoi_layers

    layers = aoi_layers(dataset.tiles, dataset.labels)
    return find_pixel_grid(dataset.imagery.first, np.concatenate([to_lonlat_geometries(layer) for layer in layers]))


def with_splitting(config: dict[str, Any], tiles: int) -> dict[str, Any]:
    """Returns the config, with `cover` for few tiles with classes: split at random, these may leave a split empty."""
    if tiles < FEW_TILES and config["defaults"]["labels"].get("kind") != "continuous":
        config["defaults"]["splitting"] = {"cover": True}
    return config


def summarize_config(config: Mapping[str, Any], imagery: Sequence[ImagerySurvey], tiles: int) -> str:
    """Returns the files, classes, bands and dates of the config in a few lines."""
    labels = config["labels"]
    details = labels_summary(labels)
    return "\n".join(
        [
            f"area     {config['tiles'].get('aoi', 'the extent of the labels')}: {tiles} tile{'s' * (tiles != 1)}",
            f"labels   {labels['path']}" + (f": {details}" if details else ""),
            *(_summary(layer, source, len(imagery) > 1) for layer, source in layer_names(imagery).items()),
        ]
    )


def _summary(layer: str, source: ImagerySurvey, named: bool) -> str:
    product = f"product {source.product}, " if source.product else ""
    count = len(source.bands)
    bands = f"{count} band{'s' * (count != 1)}" if count else "all bands"
    days = f", {source.start} to {source.end}" if source.start else ""
    clear = f", clear by {source.mask['asset']}" if source.mask else ""
    title = f"{source.place}, layer {layer}" if named else source.place
    return f"imagery  {title}: {product}{bands}{days}, {source.pixel_size:g} m{clear}"


class _PlainDumper(yaml.SafeDumper):
    """Writes a value as often as it occurs, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Return True for any value."""
        return True


def config_text(config: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Returns the config as YAML, with the notes as comments above it."""
    head = "".join(f"# {note}\n" for note in notes)
    text = yaml.dump(
        dict(config), Dumper=_PlainDumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )
    return head + text.replace("? '' :", "'':")  # as people write it
