"""Writes a starting config from what the user's files say about imagery, labels and area."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from segchips.commands.imagery_survey import ImagerySurvey
from segchips.commands.labels_block import LabelsSurvey, labels_block, labels_notes, labels_summary
from segchips.grids.tile import Grid

FEW_TILES = 100


def starting_config(name: str, imagery: ImagerySurvey, labels: LabelsSurvey, aoi: str | None) -> dict[str, Any]:
    """Returns the config of one dataset: what the files say, and common values for other keys."""
    grid = Grid(256, 8, imagery.pixel_size) if imagery.pixel_size < 5 else Grid(64, 2, imagery.pixel_size)
    resolution = int(grid.resolution) if grid.resolution == int(grid.resolution) else grid.resolution
    tiles = {"size": grid.size, "pad": grid.pad, "resolution": resolution} | ({"aoi": aoi} if aoi else {})
    sign = {"sign": imagery.sign} if imagery.sign else {}
    mask = {"cloud_mask": dict(imagery.mask)} if imagery.mask else {}
    product: dict[str, Any] = {"id": imagery.product, "bands": list(imagery.bands)}
    if imagery.is_picture and imagery.nodata is not None:
        product["nodata"] = {"value": int(imagery.nodata), "when": "all"}  # a dark band alone is no missing pixel
    span = {"start": imagery.start, "end": imagery.end, "composite": "closest", "reference_date": imagery.middle}
    return {
        "results": "results",
        "defaults": {
            "tiles": tiles,
            "imagery": {"catalog": imagery.catalog, **sign, "products": [product], **span, **mask, "min_valid": 0.1},
            "labels": labels_block(labels),
            "tfrecords": {"shards": 4, "splits": {"train": 0.8, "val": 0.1, "test": 0.1}},
        },
        "datasets": {name: {}},
    }


def config_notes(imagery: ImagerySurvey, labels: LabelsSurvey) -> list[str]:
    """Returns what the user should check, as comments for the config."""
    notes = ["Written by segchips init; config/README.md explains every key."]
    notes += ["Check: dates, bands, composite, min_valid, splits."]
    notes += labels_notes(labels)
    if imagery.nodata is None and imagery.sign is None:
        notes.append(
            "imagery: the files declare no nodata; if a value marks missing pixels, add nodata: VALUE to the product."
        )
    if imagery.off_utm:
        notes.append(
            "tiles: the imagery's CRS is no UTM zone, so its pixels are resampled; grid: imagery without resolution "
            "takes them as they are."
        )
    if imagery.catalog.startswith("http"):
        notes.append("imagery: the dates are those of last year; for signed files the resolution is a guess.")
    return [*notes, "splitting: {by: block} keeps splits apart on the ground; use it for hundreds of tiles."]


def count_tiles(config: Mapping[str, Any]) -> int:
    """Returns how many tiles the config makes.

    Raises:
        ConfigError: A key or value cannot be used.
        InputError: A file cannot be used.
    """
    from segchips.config.loading import load_config
    from segchips.tiles.area import aoi_layers, find_tiles

    (dataset,) = load_config(config).datasets.values()
    return len(find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels)))


def with_splitting(config: dict[str, Any], tiles: int) -> dict[str, Any]:
    """Returns the config, with `cover` for few tiles: split at random, these may leave a split empty."""
    if tiles < FEW_TILES:
        config["defaults"]["splitting"] = {"cover": True}
    return config


def summarize_config(config: Mapping[str, Any], tiles: int) -> str:
    """Returns the files, classes, bands and dates of the config in a few lines."""
    imagery, labels = config["imagery"], config["labels"]
    product, details = imagery["products"][0], labels_summary(labels)
    return "\n".join(
        [
            f"area     {config['tiles'].get('aoi', 'the extent of the labels')}: {tiles} tiles",
            f"labels   {labels['path']}" + (f": {details}" if details else ""),
            f"imagery  {imagery['catalog']}: product {product['id']}, {len(product['bands'])} bands, "
            f"{imagery['start']} to {imagery['end']}, {config['tiles']['resolution']:g} m"
            + (f", clear by {imagery['cloud_mask']['asset']}" if "cloud_mask" in imagery else ""),
        ]
    )


def config_text(config: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Returns the config as YAML, with the notes as comments above it."""
    head = "".join(f"# {note}\n" for note in notes)
    text = yaml.safe_dump(dict(config), sort_keys=False, default_flow_style=None, width=120)
    return head + text.replace("? '' :", "'':")  # as people write it
