"""A starting config, written by looking at the user's files and asking nothing that they tell."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from segchips.commands.imagery_survey import Imagery
from segchips.commands.labels_survey import Labels
from segchips.grids.tile import Grid

FEW_TILES = 100


def starting_config(name: str, imagery: Imagery, labels: Labels, aoi: str | None) -> dict[str, Any]:
    """The config of one dataset, with everything that the files tell and the usual for the rest."""
    grid = Grid(256, 8, imagery.step) if imagery.step < 5 else Grid(64, 2, imagery.step)
    step = int(imagery.step) if imagery.step == int(imagery.step) else imagery.step
    tiles = {"size": grid.size, "pad": grid.pad, "resolution": step} | ({"aoi": aoi} if aoi else {})
    sign = {"sign": imagery.sign} if imagery.sign else {}
    mask = {"cloud_mask": dict(imagery.mask)} if imagery.mask else {}
    product = {"id": imagery.product, "bands": list(imagery.bands)}
    span = {"start": imagery.start, "end": imagery.end, "composite": "closest", "reference_date": imagery.middle}
    told = {key: value for key in ("path", "layer", "attribute") if (value := getattr(labels, key))}
    if labels.classes:
        told["classes"] = dict(labels.classes)
    return {
        "results": "results",
        "defaults": {
            "tiles": tiles,
            "imagery": {"catalog": imagery.catalog, **sign, "products": [product], **span, **mask, "min_valid": 0.1},
            "labels": {**told, "background": 255},
            "tfrecords": {"shards": 4, "splits": {"train": 0.8, "val": 0.1, "test": 0.1}},
        },
        "datasets": {name: {}},
    }


def notes_on(imagery: Imagery, labels: Labels) -> list[str]:
    """What to look at first, as comments for the config."""
    notes = ["Written by segchips init; config/README.md tells every key."]
    notes += ["Look at: dates, bands, composite, min_valid, splits."]
    if labels.values:
        notes.append(f"labels: {labels.attribute} holds {', '.join(map(str, labels.values))}.")
    if labels.blank:
        count = f"{labels.blank} feature{'s have' if labels.blank > 1 else ' has'}"
        notes.append(f"labels: {count} no {labels.attribute}; '' in classes says what they are, null leaves them out.")
    if labels.attribute is None:
        notes.append("labels: no attribute looks like a class, so every feature becomes 1; name one with attribute.")
    if imagery.nodata is None and imagery.sign is None:
        notes.append("imagery: the files declare no nodata; where one value means it, give the product nodata: VALUE.")
    if imagery.catalog.startswith("http"):
        notes.append("imagery: dates are those of last year, and resolution is a guess where files are signed.")
    return [*notes, "splitting: {by: block} keeps splits on ground of their own, which hundreds of tiles want."]


def count_tiles(config: Mapping[str, Any]) -> int:
    """How many tiles the config asks for; ConfigError or InputError where it cannot work."""
    from segchips.config.loading import load_config
    from segchips.tiles.area import aoi_layers, find_tiles

    (dataset,) = load_config(config).datasets.values()
    return len(find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels)))


def with_splitting(config: dict[str, Any], tiles: int) -> dict[str, Any]:
    """The config with what so many tiles want: among few of them, chance leaves splits empty."""
    if tiles < FEW_TILES:
        config["defaults"]["splitting"] = {"cover": True}
    return config


def summary(config: Mapping[str, Any], tiles: int) -> str:
    """What was found, in a few lines."""
    imagery, labels = config["imagery"], config["labels"]
    product, said = imagery["products"][0], [f"attribute {labels['attribute']}"] if "attribute" in labels else []
    said += [f"{len(labels['classes'])} classes"] if "classes" in labels else []
    return "\n".join(
        [
            f"area     {config['tiles'].get('aoi', 'the ground of the labels')}: {tiles} tiles",
            f"labels   {labels['path']}: {', '.join(said) or 'every feature is 1'}",
            f"imagery  {imagery['catalog']}: product {product['id']}, {len(product['bands'])} bands, "
            f"{imagery['start']} to {imagery['end']}, {config['tiles']['resolution']:g} m"
            + (f", clear by {imagery['cloud_mask']['asset']}" if "cloud_mask" in imagery else ""),
        ]
    )


def as_text(config: Mapping[str, Any], notes: Sequence[str]) -> str:
    """The config as YAML, the notes as comments above it."""
    head = "".join(f"# {note}\n" for note in notes)
    text = yaml.safe_dump(dict(config), sort_keys=False, default_flow_style=None, width=120)
    return head + text.replace("? '' :", "'':")  # as people write it
