"""Chips of real Sentinel-2 and Landsat scenes, compared one pixel at a time."""

import json
from datetime import datetime

import pytest

from segchips.chips.images import make_image
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.scenes.stac_catalogue import StacCatalogue
from support.datasets import image_plan, make_dataset
from support.rasters import nearest_by_loop
from support.scene_series import Chip, assert_composite, valid_stacks

# Real scenes.


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("closest", {"start": "2016-12-01", "end": "2017-02-28", "reference_date": "2017-01-05"}),
        ("closest", {"start": "2016-12-01", "end": "2017-02-28", "reference_date": "2017-01-05", "max_cloud": 0.3}),
        (
            "closest",
            {
                "start": "2016-12-01",
                "end": "2017-02-28",
                "reference_date": "2017-01-05",
                "cloud_mask": {"asset": "cloud_mask", "clear": [0]},
            },
        ),
        ("median", {"start": "2015-01-01", "end": "2017-12-31"}),
        ("mean", {"start": "2015-01-01", "end": "2017-12-31", "cloud_mask": {"asset": "cloud_mask", "clear": [0]}}),
    ],
)
def test_real_scenes_by_loop(tmp_path, real_data, kind, options):
    folder = real_data.resolve()
    names = ["B04", "B11"]
    tile = Tile.from_key("60:2:10.0:33:-58:8465")
    dataset = make_dataset(
        imagery={
            "catalog": str(folder / "catalog.json"),
            "products": [{"id": "s2-l1c", "bands": names}],
            "composite": kind,
            **options,
        }
    )
    outlines = footprints([tile])
    lock = pin_scenes(
        SceneQuery.of(dataset.imagery.first),
        StacCatalogue(dataset.imagery.first).search(outlines),
        [tile.key],
        outlines,
    )
    make_image(image_plan(dataset, lock), tile, tmp_path / "chip.tif")
    chip = Chip(tmp_path / "chip.tif")

    items = [(path, json.loads(path.read_text())) for path in sorted(folder.glob("s2-l1c/*/*.json"))]
    start, end = (
        datetime.fromisoformat(f"{options['start']}T00:00:00Z"),
        datetime.fromisoformat(f"{options['end']}T23:59:59.999Z"),
    )
    chosen = []
    for path, content in items:
        when = datetime.fromisoformat(content["properties"]["datetime"])
        if start <= when <= end and content["properties"]["eo:cloud_cover"] / 100 < options.get("max_cloud", 9):
            chosen.append((when, content["id"], path.parent))
    if kind == "closest":
        midnight = datetime.fromisoformat(f"{options['reference_date']}T00:00:00Z")
        chosen.sort(key=lambda each: (abs((each[0].date() - midnight.date()).days), abs(each[0] - midnight), each[1]))
    assert chosen
    for plane, name in zip(chip.pixels, names, strict=True):
        layers = []
        for _, _, place in chosen:
            mask = nearest_by_loop(place / "cloud_mask.tif", tile)[0] if "cloud_mask" in options else None
            layers.append(
                (
                    nearest_by_loop(place / f"{name}.tif", tile)[0],
                    lambda value, row, column, mask=mask: value != 0 and (mask is None or mask[row][column] == 0),
                )
            )
        assert_composite(plane, valid_stacks(layers), kind, 0)
