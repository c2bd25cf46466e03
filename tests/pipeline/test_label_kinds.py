"""Rasters, measurements and objects as targets of one dataset: what a change of each remakes."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from support.projects import Project, chips_touched

pytestmark = pytest.mark.slow


def write_rasters(project: Project) -> rasterio.Affine:
    """A class raster and heights over all tiles of the sample, in lon/lat."""
    area = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg").to_crs(4326)
    west, south, east, north = area.total_bounds + [-0.02, -0.02, 0.02, 0.02]
    step = 2e-4
    shape = int((north - south) / step), int((east - west) / step)
    transform = rasterio.Affine(step, 0, west, 0, -step, north)
    profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:4326", "transform": transform}
    profile |= {"height": shape[0], "width": shape[1]}
    rng = np.random.default_rng(1)
    with rasterio.open(project.folder / "landuse.tif", "w", dtype="uint8", **profile) as file:
        file.write(rng.integers(1, 6, (1, *shape)).astype("uint8"))
    with rasterio.open(project.folder / "heights.tif", "w", dtype="float32", **profile) as file:
        file.write(rng.normal(300, 20, (1, *shape)).astype("float32"))
    return transform


def chips_of(project: Project, target: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.results().glob(f"labels/{target}/*.tif")}


def test_each_target_remakes_its_own_chips_alone(project: Project) -> None:
    transform = write_rasters(project)
    targets = {
        "landuse": {"path": "landuse.tif", "unknown": 254},
        "height": {"path": "heights.tif", "kind": "continuous"},
    }
    project.change("defaults.labels", {"targets": targets})
    tiles = len(list(project.results().glob("images/*.tif")))
    assert project.run_and_count()["labels"] == 2 * tiles > 6
    assert not project.run_and_count()

    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg").to_crs(4326)
    inside = next(shape for shape in layer.geometry if len(chips_touched(project, [shape.centroid.buffer(1e-4)])) == 1)
    column, row = ~transform * inside.centroid.coords[0]
    with rasterio.open(project.folder / "landuse.tif", "r+") as file:
        pixels = file.read(1)
        pixels[int(row), int(column)] = 1 + pixels[int(row), int(column)] % 5
        file.write(pixels, 1)
    before = chips_of(project, "landuse"), chips_of(project, "height")
    made = project.run_and_count()
    assert (made["labels"], made["images"]) == (1, 0)
    changed = {name for name, content in chips_of(project, "landuse").items() if content != before[0][name]}
    assert changed == chips_touched(project, [shapely.Point(inside.centroid).buffer(1e-4)])
    assert chips_of(project, "height") == before[1]

    (project.folder / "heights.tif").touch()
    assert not project.run_and_count()

    before = chips_of(project, "landuse"), chips_of(project, "height")
    targets["buildings"] = {"path": "resources/sample/labels.gpkg", "kind": "instances"}
    project.change("defaults.labels", {"targets": targets})
    made = project.run_and_count()
    assert (made["labels"], made["images"]) == (tiles, 0)
    assert (chips_of(project, "landuse"), chips_of(project, "height")) == before
    assert len(chips_of(project, "buildings")) == tiles
    assert not project.run_and_count()

    del targets["buildings"]
    project.change("defaults.labels", {"targets": targets})
    shown = " ".join(project.run().stdout.split())
    unused = 2 * tiles  # those of the buildings, and those of the sample's target without a name
    assert (
        f"sample: {unused} chips belong to no tile, layer or target any more; `snakemake prune` removes them" in shown
    )
    project.run("prune")
    assert not chips_of(project, "buildings")
    assert (chips_of(project, "landuse"), chips_of(project, "height")) == before
    assert not project.run_and_count()
