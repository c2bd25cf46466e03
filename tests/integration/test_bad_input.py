"""Each way in which a user's input can be wrong ends the run with one message that says what and what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyogrio
import pytest
import shapely

from support.projects import Project


def write_layer(
    path: Path, geometries: list[shapely.Geometry], crs: str | None = "EPSG:4326", **columns: list[object]
) -> None:
    import geopandas

    geopandas.GeoDataFrame(columns, geometry=geometries, crs=crs).to_file(path)


def no_crs(project: Project) -> None:
    frame = pyogrio.read_dataframe(project.folder / "resources/sample/labels.gpkg")
    frame.set_crs(None, allow_override=True).to_file(project.folder / "bare.shp")
    (project.folder / "bare.prj").unlink(missing_ok=True)
    project.change("defaults.labels.path", "bare.shp")


def empty_aoi(project: Project) -> None:
    write_layer(project.folder / "empty.geojson", [shapely.Point(12.3, 48)], name=["point"])
    project.change("defaults.tiles.aoi", "empty.geojson")


def aoi_elsewhere(project: Project) -> None:
    write_layer(project.folder / "far.gpkg", [shapely.box(30, 10, 30.01, 10.01)], name=["far"])
    project.change("defaults.tiles.aoi", "far.gpkg")


def value_of_300(project: Project) -> None:
    path = project.folder / "resources/sample/labels.gpkg"
    frame = pyogrio.read_dataframe(path)
    frame.loc[3, "class_id"] = 300
    frame.to_file(project.folder / "big.gpkg")
    project.change("defaults.labels", {"path": "big.gpkg", "attribute": "class_id"})


def two_layers(project: Project) -> None:
    path = project.folder / "two.gpkg"
    shutil.copy(project.folder / "resources/sample/labels.gpkg", path)
    write_layer(project.folder / "other.gpkg", [shapely.box(12, 48, 12.1, 48.1)], name=["x"])
    pyogrio.write_dataframe(pyogrio.read_dataframe(project.folder / "other.gpkg"), path, layer="other", append=True)
    project.change("defaults.labels.path", "two.gpkg")


def html_catalog(project: Project) -> None:
    (project.folder / "catalog.json").write_text("<html>moved</html>")
    project.change("defaults.imagery.catalog", "catalog.json")


def unwritable(project: Project) -> None:
    (project.folder / "results").write_text("a file where the folder should be")


def changed(path: str, value: object) -> Callable[[Project], None]:
    return lambda project: project.change(path, value)


CASES: dict[str, tuple[Callable[[Project], None], list[str]]] = {
    "no label file": (
        changed("defaults.labels.path", "missing.gpkg"),
        ["datasets.sample: labels: 'missing.gpkg' does not exist"],
    ),
    "no such layer": (changed("defaults.labels.layer", "landuse"), ["no layer 'landuse'", "it has 'landcover'"]),
    "several layers": (two_layers, ["several layers", "'landcover', 'other'"]),
    "no such attribute": (
        changed("defaults.labels.attribute", "klass"),
        ["no attribute 'klass' (did you mean 'class'", "class_id"],
    ),
    "value of 300": (value_of_300, ["'class_id'", "'300'", "FID 4", "0 to 255", "labels.classes"]),
    "text without class map": (
        changed("defaults.labels.classes", None),
        ["'class'", "holds text", "labels.classes, such as {built: 1"],
    ),
    "text that no class maps": (
        changed("defaults.labels.classes", {"water": 1, "forest": 2, "field": 3, "built": 4}),
        ["'class'", "'road'", "labels.classes does not map"],
    ),
    "layer without CRS": (no_crs, ["bare.shp", "no CRS", "ogr2ogr -a_srs"]),
    "empty AOI": (empty_aoi, ["empty.geojson", "no polygon among its 1 features"]),
    "AOI outside every scene": (
        aoi_elsewhere,
        ["no scene of sample-l2a from 2023-01-01 to 2023-12-31", "check that the AOI lies within"],
    ),
    "no such AOI": (
        changed("defaults.tiles.aoi", "area.shp"),
        ["datasets.sample: tiles.aoi: 'area.shp' does not exist"],
    ),
    "unknown band": (
        changed("defaults.imagery.products", [{"id": "sample-l2a", "bands": ["B04", "B99"]}]),
        ["datasets.sample: imagery.products", "no band 'B99'", "B02, B03, B04, B08"],
    ),
    "unknown mask": (changed("defaults.imagery.cloud_mask.asset", "scl"), ["no band 'scl'", "cloud_mask"]),
    "unknown product": (
        changed("defaults.imagery.products", [{"id": "sentinel", "bands": ["B04"]}]),
        ["no product 'sentinel'", "it has sample-l2a"],
    ),
    "no catalogue": (
        changed("defaults.imagery.catalog", "nowhere/catalog.json"),
        ["catalogue nowhere/catalog.json: no such file"],
    ),
    "catalogue is no STAC": (html_catalog, ["catalogue catalog.json: cannot be read as STAC"]),
    "catalogue out of reach": (
        changed("defaults.imagery.catalog", "http://127.0.0.1:9/stac"),
        ["http://127.0.0.1:9/stac: cannot be read as STAC"],
    ),
    "start after end": (
        changed("defaults.imagery.start", "2024-01-01"),
        ["datasets.sample.imagery.start: 2024-01-01 is after end (2023-12-31)"],
    ),
    "no day": (
        changed("defaults.imagery.end", "2023-02-30"),
        ["datasets.sample.imagery.end: '2023-02-30'", "YYYY-MM-DD"],
    ),
    "typo in a key": (
        changed("defaults.imagery.max_clouds", 0.1),
        ["datasets.sample.imagery.max_clouds: unknown key; did you mean 'max_cloud'?"],
    ),
    "size below twice the pad": (changed("defaults.tiles.size", 4), ["datasets.sample.tiles.size: 4", "above 4"]),
    "unwritable results": (unwritable, ["results: 'results' cannot be written"]),
    "tile key with junk": (
        changed("defaults.tiles", {"keys": ["60:2:10.0:33:1:2:9"]}),
        ["'60:2:10.0:33:1:2:9' is not a valid tile key"],
    ),
    "tile key of another grid": (
        changed("defaults.tiles", {"keys": ["128:0:10.0:33:1:2"]}),
        ["tiles.keys: tile key '128:0:10.0:33:1:2' has size 128", "the config has size 64"],
    ),
    "dataset name with a hyphen": (
        changed("datasets.my-set", {}),
        ["my-set", "lower-case letters, digits and underscores"],
    ),
}


FAST = {"typo in a key", "no label file", "unknown band", "text that no class maps", "unwritable results"}
"""One mistake for each place where they are found; all messages are also tested without a run."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CASES])
def test_message(fresh: Project, name: str) -> None:
    spoil, expected = CASES[name]
    spoil(fresh)
    result = fresh.run()
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    message = " ".join(result.stdout.split())
    for words in expected:
        assert words in message, result.stdout
    assert not list(fresh.folder.glob("results/*/images/*"))


@pytest.mark.slow
def test_a_truncated_scene_costs_its_tiles_alone_and_is_named(fresh: Project) -> None:
    items = sorted(fresh.folder.glob("resources/sample/sample-l2a/*/B04.tif"))
    whole = {path: path.read_bytes() for path in items}
    spoiled = next(path for path in items if "20230705" in str(path))
    spoiled.write_bytes(whole[spoiled][: len(whole[spoiled]) // 2])
    result = fresh.run()
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    rows = fresh.ledger()
    failed = [row for row in rows if row["state"] == "failed"]
    assert len(rows) == 6 and failed
    for row in failed:
        assert str(spoiled.relative_to(fresh.folder)) in row["reason"]
        assert not (fresh.results() / "images" / f"{row['tile'].replace(':', '#')}.tif").exists()
    spoiled.write_bytes(whole[spoiled])
    assert fresh.run_and_count()["images"] == len(failed)
    assert {row["state"] for row in fresh.ledger()} == {"made"}
