import geopandas
import numpy as np
import rasterio
import shapely

from projects import Project


def chips_touched(project: Project, shapes: list[shapely.Geometry]) -> set[str]:
    """The names of label chips whose grid one of the lon/lat shapes touches."""
    touched = set()
    for path in project.results().glob("labels/*.tif"):
        with rasterio.open(path) as chip:
            inside = geopandas.GeoSeries(shapes, crs=4326).to_crs(chip.crs).intersects(shapely.box(*chip.bounds))
        if inside.any():
            touched.add(path.name)
    return touched


def test_a_moved_polygon_remakes_the_chips_it_touches_before_or_after(project: Project) -> None:
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg").to_crs(4326)
    layer.to_file(project.folder / "mine.gpkg")
    project.change("defaults.labels.path", "mine.gpkg")
    project.made()
    before = {path.name: path.read_bytes() for path in project.results().glob("labels/*.tif")}
    number = next(n for n, shape in enumerate(layer.geometry) if len(chips_touched(project, [shape])) == 1)
    old = layer.geometry[number]
    layer.loc[number, "geometry"] = new = shapely.affinity.translate(old, 0.0006, 0)
    layer.to_file(project.folder / "mine.gpkg")
    touched = chips_touched(project, [old, new])
    assert 0 < len(touched) < 6
    made = project.made()
    assert (made["labels"], made["images"], made["scenes"]) == (len(touched), 0, 0)
    assert 0 < made["tfrecords"] <= len(touched)
    after = {path.name: path.read_bytes() for path in project.results().glob("labels/*.tif")}
    assert {name for name in before if before[name] != after[name]} <= touched
    assert before != after


def test_a_touched_layer_remakes_nothing(project: Project) -> None:
    source = project.folder / "resources/sample/labels.gpkg"
    copy = project.folder / "mine.gpkg"
    copy.write_bytes(source.read_bytes())
    project.change("defaults.labels.path", "mine.gpkg")
    assert project.made()["labels"] == 0
    copy.touch()
    assert not project.made()


def test_layers_burn_over_each_other_in_the_order_of_the_config(project: Project) -> None:
    west, south, east, north = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg").total_bounds
    middle = (west + east) / 2
    geopandas.GeoDataFrame(geometry=[shapely.box(west, south, east, north)], crs=4326).to_file(
        project.folder / "all.gpkg"
    )
    geopandas.GeoDataFrame(geometry=[shapely.box(middle, south, east, north)], crs=4326).to_file(
        project.folder / "half.gpkg"
    )
    project.change("defaults.labels", {"layers": [{"path": "all.gpkg", "value": 7}, {"path": "half.gpkg", "value": 9}]})
    assert project.made()["labels"] == 6
    values = [np.unique(rasterio.open(path).read()) for path in sorted(project.results().glob("labels/*.tif"))]
    assert set(np.concatenate(values).tolist()) == {7, 9, 255}
