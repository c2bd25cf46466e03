"""One area across two UTM zones, from plan to mosaic: splits, labels, statistics and plan against slow computations."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize

import segchips
from segchips.config.loading import load_config
from segchips.grids.cover import cover_area
from segchips.grids.indices import tile_indices
from segchips.grids.tile import Tile
from segchips.tiles.split_strategies import split_strategy
from support.catalogues import make_asset, make_item, write_catalogue
from support.projects import Project
from support.rasters import raster_outline, write_raster
from support.vectors import write_vectors

pytestmark = pytest.mark.slow

AREA = shapely.box(11.97, 47.0, 12.03, 47.02)
UNKNOWN, BACKGROUND = 254, 255
CORE = Affine(10, 0, 268_000, 0, -10, 5_214_000)
"""The rasters' geotransform in EPSG:32633."""


def landscape(folder: Path) -> None:
    """Two scenes with holes, the second of the east alone, and fields of four classes, all sides finely divided."""
    rng, items = np.random.default_rng(8), []
    for number, (left, day) in enumerate([(0, "2020-06-02"), (300, "2020-06-05")]):
        data = rng.integers(1, 4000, (2, 560, 700)).astype("uint16")
        row, column = np.mgrid[:560, :700]
        data[:, np.hypot(row % 97 - 48, column % 89 - 40) < 14 + 5 * number] = 0
        data[1, (row + column) % 61 == 0] = 0
        path = write_raster(folder / f"{number}.tif", data[:, :, left:], CORE @ Affine.translation(left, 0), 32633, 0)
        assets = {"both": make_asset(path.resolve())}
        items.append(make_item(f"scene{number}", f"{day}T10:00:00Z", assets, raster_outline(path), cloud=0))
    write_catalogue(folder, items)
    write_vectors(folder / "aoi.gpkg", [AREA], "EPSG:4326")
    west, south, east, north = AREA.bounds
    lon, lat = rng.uniform(west - 0.01, east + 0.01, 90), rng.uniform(south - 0.01, north + 0.01, 90)
    fields = [
        shapely.Point(*place).buffer(size) for *place, size in zip(lon, lat, rng.uniform(5e-4, 5e-3, 90), strict=True)
    ]
    write_vectors(folder / "fields.gpkg", fields, "EPSG:4326", crop=rng.integers(1, 5, 90))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, dict[str, object]]]:
    """The finished run, and what the plan said before it."""
    project = Project(tmp_path_factory.mktemp("zones"))
    landscape(project.folder)
    project.write(
        {
            "defaults": {
                "tiles": {"aoi": "aoi.gpkg"},
                "imagery": {
                    "catalog": "catalog.json",
                    "products": [{"id": "s2", "bands": ["both"]}],
                    "start": "2020-06-01",
                    "end": "2020-06-30",
                    "reference_date": "2020-06-01",
                    "composite": "closest",
                },
                "labels": {"path": "fields.gpkg", "attribute": "crop", "unknown": UNKNOWN},
                "tfrecords": {"shards": 2, "splits": {"train": 2, "test": 1}},
            },
            "datasets": {
                "apart": {
                    "splitting": {"by": "block", "block": 1800, "seed": 3, "cover": False},
                    "select": {"labelled": {"min": 0.1}},
                },
                "leaky": {"splitting": {"seed": 1}},
            },
        }
    )
    result = project.run("plan")
    assert result.returncode == 0, result.stdout
    assert not list(project.folder.glob("results/*/images/*.tif"))
    plans = {name: json.loads((project.results(name) / "plan.json").read_text()) for name in ("apart", "leaky")}
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project, plans


@pytest.fixture(scope="module")
def run(planned: tuple[Project, dict[str, dict[str, object]]]) -> Project:
    return planned[0]


def flat(key: str) -> shapely.Polygon:
    """A tile's padded footprint in the lower of the two zones, edges followed closely."""
    tile = Tile.from_key(key)
    project = pyproj.Transformer.from_crs(tile.crs, 32632, always_xy=True).transform
    return shapely.transform(shapely.segmentize(shapely.box(*tile.bounds), 5), project, interleaved=False)


def tiles_with_chips(run: Project, name: str) -> dict[str, str]:
    return {row["tile"]: row["split"] for row in run.ledger(name) if row["state"] == "made"}


@pytest.mark.parametrize("name", ["apart", "leaky"])
def test_the_audit_finds_what_a_look_at_every_pair_finds(run: Project, name: str) -> None:
    tiles = tiles_with_chips(run, name)
    shapes, shared, apart = {key: flat(key) for key in tiles}, {}, np.inf
    for one, other in combinations(tiles, 2):
        if tiles[one] != tiles[other]:
            apart = min(apart, shapes[one].distance(shapes[other]))
            area = shapes[one].intersection(shapes[other]).area / 100
            if area > 0.01:
                shared[frozenset((one, other))] = area
    audit = json.loads((run.results(name) / "audit.json").read_text())
    assert audit["passed"] and audit["tiles"] == Counter(tiles.values())
    assert audit["least_distance"]["test-train"] == pytest.approx(apart, abs=1)
    found = {frozenset((pair["first"], pair["second"])): pair for pair in audit["shared"]["listed"]}
    assert found.keys() == shared.keys() and audit["shared"]["pairs"] == len(shared)
    for key, pair in found.items():
        assert pair["pixels"] == pytest.approx(shared[key], rel=0.01, abs=0.1)
    across = sum(len({Tile.from_key(key).zone for key in pair}) == 2 for pair in shared)
    assert audit["shared"]["pairs_between_zones"] == across
    assert (across > 0) == (name == "leaky") and (apart > 0) == (name == "apart")


def test_every_tile_is_in_the_ledger_and_dropped_for_a_reason_that_holds(run: Project) -> None:
    rows = {row["tile"]: row for row in run.ledger("apart")}
    assert len(rows) == len(run.ledger("apart")) == len(run.ledger("leaky")) == 48
    assert {(Tile.from_key(key).zone, row["split"], row["state"]) for key, row in rows.items()} >= {
        (zone, split, "made") for zone in (32, 33) for split in ("train", "test")
    }
    reasons = {row["reason"].partition(":")[0] for row in rows.values() if row["state"] == "dropped"}
    assert reasons == {"guard", "select"}
    around = surroundings(run)
    assert {(key, row["split"]) for key, row in rows.items()} <= {(key, split) for key, _, split in around}
    for key, row in rows.items():
        if row["reason"].startswith("guard"):
            rival = row["reason"].rpartition(" ")[2]
            near = [flat(key).intersection(shape).area for _, shape, split in around if split == rival]
            assert rival != row["split"] and max(near) > 1
        elif row["reason"].startswith("select"):
            labelled = np.isin(burned(run, Tile.from_key(key)), [1, 2, 3, 4]).sum()
            assert labelled < 0.1 * 64**2 and row["reason"].startswith(f"select: {labelled} of 4096 pixels")
        else:
            assert row["state"] == "made" and row["reason"] == ""
    assert {path.stem.replace("#", ":") for path in run.results("apart").glob("images/*.tif")} == set(
        tiles_with_chips(run, "apart")
    )


def surroundings(run: Project) -> list[tuple[str, shapely.Polygon, str]]:
    """Key, footprint and split of the tiles in and around the area: what may be added one day counts as well."""
    config = load_config(run.config).datasets["apart"]
    tiles = cover_area(AREA.buffer(0.02), config.tiles.tile_grid())
    _, splits = split_strategy(config.splitting, config.tiles.tile_grid()).assign(tile_indices(tiles))
    return [(tile.key, flat(tile.key), ("train", "test")[split]) for tile, split in zip(tiles, splits, strict=True)]


def burned(run: Project, tile: Tile) -> np.ndarray:
    return burn(run, tile.crs, Affine.from_gdal(*tile.geotransform), (64, 64))


def burn(run: Project, crs: str, transform: Affine, shape: tuple[int, int]) -> np.ndarray:
    """All fields at once."""
    import geopandas

    fields = geopandas.read_file(run.folder / "fields.gpkg").to_crs(crs)
    shapes = list(zip(fields.geometry, fields["crop"], strict=True))
    return rasterize(shapes, shape, fill=BACKGROUND, transform=transform, all_touched=True, dtype="uint8")


def unseen(run: Project, name: str, tile: Tile) -> np.ndarray:
    with rasterio.open(run.results(name) / "images" / f"{tile.name}.tif") as chip:
        return (chip.read() == 0).any(axis=0)


def test_labels_written_back_as_predictions_are_the_fields_burned_at_once(run: Project, tmp_path: Path) -> None:
    directory = run.results("leaky") / "tfrecords"
    records = [record for split in ("train", "test") for record in segchips.load(directory, split).as_numpy_iterator()]
    pairs = [(record["identifier"].decode(), record["label"]) for record in records]
    paths = segchips.mosaic(pairs, tmp_path / "labels.tif", nodata=BACKGROUND)
    tiles = [Tile.from_key(row["tile"]) for row in run.ledger("leaky")]
    assert len(paths) == 2 and len(pairs) == len(tiles) == 48
    hidden = 0
    for path in paths:
        with rasterio.open(path) as mosaic:
            found, crs, transform = mosaic.read(1), mosaic.crs.to_string(), mosaic.transform
        wanted, held = burn(run, crs, transform, found.shape), np.zeros(found.shape, bool)
        for tile in (tile for tile in tiles if tile.crs == crs):
            west, _, _, north = tile.core_bounds
            column, row = (round(place) for place in ~transform @ (west, north))
            core = np.s_[row : row + 60, column : column + 60]
            assert not held[core].any()
            held[core] = True
            gap = unseen(run, "leaky", tile)[2:-2, 2:-2]
            wanted[core][gap] = UNKNOWN
            hidden += int(gap.sum())
        wanted[~held] = BACKGROUND
        np.testing.assert_array_equal(found, wanted)
    assert hidden > 1000


@pytest.mark.parametrize("name", ["apart", "leaky"])
def test_unknown_pixels_count_for_no_weight(run: Project, name: str) -> None:
    found = segchips.statistics(run.results(name) / "tfrecords")
    for split in ("train", "test"):
        tiles = [Tile.from_key(key) for key, of in tiles_with_chips(run, name).items() if of == split]
        labels = np.stack([np.where(unseen(run, name, tile), UNKNOWN, burned(run, tile)) for tile in tiles])
        values, counts = np.unique(labels, return_counts=True)
        pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
        classes = found[split].classes or {}
        assert {value: one.pixels for value, one in classes.items()} == pixels and pixels[UNKNOWN]
        assert {value: one.chips for value, one in classes.items()} == {
            value: int((labels == value).any(axis=(1, 2)).sum()) for value in pixels
        }
        crops = {value: count for value, count in pixels.items() if value in (1, 2, 3, 4)}
        for value, one in classes.items():
            weight = sum(crops.values()) / (len(crops) * crops[value]) if value in crops else None
            assert one.weight == (weight and pytest.approx(weight))
        assert classes[UNKNOWN].weight_with_background is None
        known = sum(pixels.values()) - pixels[UNKNOWN]
        both = classes[BACKGROUND].weight_with_background
        assert both == pytest.approx(known / ((len(crops) + 1) * pixels[BACKGROUND]))


@pytest.mark.parametrize("name", ["apart", "leaky"])
def test_the_plan_said_what_the_run_made(planned: tuple[Project, dict[str, dict[str, object]]], name: str) -> None:
    run, plan = planned[0], planned[1][name]
    rows, tiles = run.ledger(name), tiles_with_chips(run, name)
    assert plan["tiles"] == len(rows) and plan["no_scenes"] == 0
    assert plan["made"] == Counter(tiles.values())
    reasons = [row["reason"].partition(":")[0] for row in rows if row["state"] == "dropped"]
    assert plan["dropped"] == Counter(reasons)
    listed = {row["tile"]: int(row["scenes"]) for row in rows if row["state"] == "made"}
    assert plan["scenes"] == {"s2": 2}
    bands = 2  # the asset's name alone takes all bands of its file
    assert plan["band_reads"] == {"at_least": bands * len(tiles), "at_most": bands * sum(listed.values())}
    pixels: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    for key, split in tiles.items():
        values, counts = np.unique(burned(run, Tile.from_key(key)), return_counts=True)
        pixels[split].update(dict(zip(map(str, values.tolist()), counts.tolist(), strict=True)))
    assert plan["class_pixels"] == pixels
