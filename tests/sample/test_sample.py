"""The sample: valid STAC, complete labels, and scenes that agree with them."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pystac
import pytest
import rasterio
import shapely
from earthdaily.earthone.geo import DLTile

from segchips.sample.sample import write_sample

CLASSES = {"water": 1, "forest": 2, "field": 3, "built": 4, "road": 5}
BANDS = ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sample")
    write_sample(directory)
    return directory


@pytest.fixture(scope="module")
def scenes(sample):
    """Every scene's item as plain JSON, its bands and its cloud mask."""
    result = []
    for path in sorted(sample.glob("sample-l2a/*/*.json")):
        item = json.loads(path.read_text())
        item["pixels"] = {name: read(path.parent / asset["href"]) for name, asset in item["assets"].items()}
        result.append(item)
    return result


@pytest.fixture(scope="module")
def points(sample):
    """Longitudes and latitudes of random points in the AOI, and the label class there."""
    outline = layer(sample / "aoi.gpkg", "aoi")[0][0]
    west, south, east, north = outline.bounds
    lonlat = np.random.default_rng(5).uniform((west, south), (east, north), (4000, 2))
    lonlat = lonlat[shapely.contains_xy(outline, lonlat)]
    return lonlat, classes_at(sample, lonlat)


@pytest.fixture(scope="module")
def inner_points(sample, points):
    """Those of the points that have the same class 15 m to the west, east, south and north."""
    lonlat, classes = points
    alike = np.all([classes_at(sample, lonlat + offset) == classes for offset in offsets(15)], axis=0)
    return lonlat[alike], classes[alike]


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def layer(path, name):
    meta, _, geometry, fields = pyogrio.raw.read(path, layer=name)
    return shapely.from_wkb(geometry), dict(zip(meta["fields"], fields, strict=True))


def offsets(metres):
    """Steps to the west, east, south and north in degrees, at the sample's latitude."""
    x, y = metres / 111_320 / math.cos(math.radians(48.2)), metres / 111_320
    return np.array([(-x, 0), (x, 0), (0, -y), (0, y)])


def classes_at(sample, lonlat):
    """The class of the last feature that holds each point; 0 where none does."""
    polygons, fields = layer(sample / "labels.gpkg", "landcover")
    last = np.full(len(lonlat), -1)
    point, feature = shapely.STRtree(polygons).query(shapely.points(lonlat), predicate="within")
    np.maximum.at(last, point, feature)
    return np.where(last < 0, 0, fields["class_id"][last])


def sample_asset(scene, lonlat, name):
    """The pixels of one asset under the points; -1 outside the raster."""
    properties = scene["properties"]
    project = pyproj.Transformer.from_crs(4326, properties["proj:epsg"], always_xy=True).transform
    x, y = project(*lonlat.T)
    width, _, west, _, height, north = properties["proj:transform"]
    column, row = np.floor((x - west) / width).astype(int), np.floor((y - north) / height).astype(int)
    rows, columns = properties["proj:shape"]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    result = np.full(len(lonlat), -1)
    result[inside] = scene["pixels"][name][row[inside], column[inside]]
    return result


def scene_on(scenes, date, orbit):
    (scene,) = [s for s in scenes if s["properties"]["datetime"].startswith(date) and s["id"].endswith(orbit)]
    return scene


def clear_points(scene, points):
    lonlat, classes = points
    clear = sample_asset(scene, lonlat, "cloud_mask") == 0
    return lonlat[clear], classes[clear]


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_same_bytes_again(sample, tmp_path):
    write_sample(tmp_path)
    first, second = contents(sample), contents(tmp_path)
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []


def test_another_seed_is_another_landscape(tmp_path):
    for seed in (0, 1):
        write_sample(tmp_path / str(seed), seed=seed, columns=2, rows=2)
    first, second = contents(tmp_path / "0"), contents(tmp_path / "1")
    assert first.keys() == second.keys()
    same = {path.name for path in first if first[path] == second[path]}
    assert same <= {"catalog.json"}


def test_catalogue_comes_last_and_nothing_is_left_over(sample):
    files = [path for path in sample.rglob("*") if path.is_file()]
    assert max(files, key=lambda path: path.stat().st_mtime_ns) == sample / "catalog.json"
    assert Counter(path.suffix for path in files) == {".tif": 60, ".json": 14, ".gpkg": 2}
    assert sum(path.stat().st_size for path in files) < 9e6


def test_pystac_reads_the_catalogue(sample):
    catalogue = pystac.Catalog.from_file(sample / "catalog.json")
    collection = catalogue.get_child("sample-l2a")
    items = list(catalogue.get_items(recursive=True))
    assert len(items) == 12
    assert {item.collection_id for item in items} == {"sample-l2a"}
    west, south, east, north = collection.extent.spatial.bboxes[0]
    start, end = collection.extent.temporal.intervals[0]
    for item in items:
        assert start <= item.datetime <= end
        assert west <= item.bbox[0] < item.bbox[2] <= east and south <= item.bbox[1] < item.bbox[3] <= north
        assert shapely.box(*item.bbox).equals(shapely.box(*shapely.geometry.shape(item.geometry).bounds))
        assert all(Path(asset.get_absolute_href()).is_file() for asset in item.assets.values())


def test_every_link_is_relative_and_leads_to_a_file(sample):
    for path in sample.rglob("*.json"):
        document = json.loads(path.read_text())
        hrefs = [entry["href"] for entry in (*document["links"], *document.get("assets", {}).values())]
        assert hrefs and all(href.startswith(".") and (path.parent / href).is_file() for href in hrefs)


def test_dates_and_crs(scenes):
    dates = {scene["properties"]["datetime"][:10] for scene in scenes}
    assert len(dates) == 12 and {date[:4] for date in dates} == {"2023"}
    assert {(s["id"][-4:], s["properties"]["proj:epsg"]) for s in scenes} == {("r022", 32633), ("r065", 32632)}


def test_assets_are_what_the_items_say(sample, scenes):
    for scene in scenes:
        assert set(scene["assets"]) == {*BANDS, "cloud_mask"}
        for name, asset in scene["assets"].items():
            with rasterio.open(sample / "sample-l2a" / scene["id"] / asset["href"]) as dataset:
                (band,) = asset["raster:bands"]
                assert dataset.dtypes == (band["data_type"],) == ("uint8" if name == "cloud_mask" else "uint16",)
                assert dataset.nodata == band["nodata"] == (255 if name == "cloud_mask" else 0)
                assert dataset.crs.to_epsg() == scene["properties"]["proj:epsg"]
                assert list(dataset.transform)[:6] == scene["properties"]["proj:transform"]
                assert list(dataset.shape) == scene["properties"]["proj:shape"]
                assert dataset.res == (10, 10) and dataset.transform.c % 10 == dataset.transform.f % 10 == 0
                assert dataset.descriptions == (name,) == (asset["eo:bands"][0]["name"],)
                assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert dataset.profile["compress"] == "deflate"


def test_all_assets_of_a_scene_are_nodata_together(scenes):
    for scene in scenes:
        unseen = scene["pixels"]["cloud_mask"] == 255
        assert set(np.unique(scene["pixels"]["cloud_mask"])) == {0, 1, 2, 255}
        for name in BANDS:
            assert np.array_equal(scene["pixels"][name] == 0, unseen)


def test_cloud_cover_is_the_share_of_cloud_in_the_seen_pixels(scenes):
    for scene in scenes:
        counts = Counter(scene["pixels"]["cloud_mask"].ravel().tolist())
        share = 100 * counts[1] / (counts[0] + counts[1] + counts[2])
        assert scene["properties"]["eo:cloud_cover"] == pytest.approx(share, abs=1e-6)
    covers = sorted(scene["properties"]["eo:cloud_cover"] for scene in scenes)
    assert covers[2] < 6 and 15 < covers[-3] < 50 and covers[-1] > 90


def test_footprint_follows_the_seen_pixels(scenes):
    for scene in scenes:
        height, width = scene["properties"]["proj:shape"]
        rows, columns = np.mgrid[0:height:5, 0:width:5]
        width, _, west, _, height, north = scene["properties"]["proj:transform"]
        x, y = west + (columns.ravel() + 0.5) * width, north + (rows.ravel() + 0.5) * height
        lonlat = np.column_stack(
            pyproj.Transformer.from_crs(scene["properties"]["proj:epsg"], 4326, always_xy=True).transform(x, y)
        )
        footprint = shapely.geometry.shape(scene["geometry"])
        inside = shapely.contains_xy(footprint, lonlat)
        seen = scene["pixels"]["cloud_mask"][rows.ravel(), columns.ravel()] != 255
        near_edge = shapely.distance(footprint.exterior, shapely.points(lonlat)) < 15 / 70_000
        assert np.array_equal(seen[~near_edge], inside[~near_edge])
        assert not (seen & ~inside).any()


def test_swath_edges_slant(scenes):
    for scene in scenes:
        seen = scene["pixels"]["cloud_mask"] != 255
        east = scene["id"].endswith("r022")
        edge = [(row.argmax() if east else row.size - row[::-1].argmax()) for row in (seen[0], seen[-1])]
        assert (edge[0] - edge[1]) / len(seen) == pytest.approx(math.tan(math.radians(14)), abs=0.02)


def test_orbits_overlap_and_only_together_cover_the_aoi(scenes, points):
    lonlat, _ = points
    seen = {scene["id"]: sample_asset(scene, lonlat, "cloud_mask") for scene in scenes}
    assert all((mask >= 0).all() for mask in seen.values())
    for scene in scenes:
        assert 0.5 < np.mean(seen[scene["id"]] != 255) < 0.85
    for first in scenes:
        for second in scenes:
            if first["id"][-4:] != second["id"][-4:]:
                both = np.array([seen[first["id"]] != 255, seen[second["id"]] != 255])
                assert both.any(axis=0).all() and 0.2 < both.all(axis=0).mean() < 0.5


def test_every_place_is_clear_once_a_year_and_most_in_summer(scenes, points):
    lonlat, _ = points
    clear = {scene["properties"]["datetime"][5:7]: np.zeros(len(lonlat), int) for scene in scenes}
    for scene in scenes:
        clear[scene["properties"]["datetime"][5:7]] += sample_asset(scene, lonlat, "cloud_mask") == 0
    assert (sum(clear.values()) > 0).mean() > 0.999
    assert (clear["06"] + clear["07"] + clear["08"] > 0).mean() > 0.95


def test_clouds_are_bright_and_shadows_dark(scenes):
    for scene in scenes:
        mask, red = scene["pixels"]["cloud_mask"], scene["pixels"]["B04"]
        assert np.median(red[mask == 1]) > 3 * np.median(red[mask == 0])
        if scene["properties"]["eo:cloud_cover"] < 50:
            assert np.median(red[mask == 2]) < 0.75 * np.median(red[mask == 0])


@pytest.mark.parametrize(("date", "orbit"), [("2023-04-26", "r022"), ("2023-06-28", "r065")])
def test_shadows_lie_away_from_the_sun(scenes, date, orbit):
    scene = scene_on(scenes, date, orbit)
    azimuth = math.radians(scene["properties"]["view:sun_azimuth"])
    mask = scene["pixels"]["cloud_mask"]
    rows, columns = np.nonzero(mask == 2)

    def meets_cloud(sign):
        """Share of shadow with cloud or the image's end within 80 pixels towards (1) or away from (-1) the sun."""
        met = np.zeros(len(rows), bool)
        for step in range(1, 81):
            r = np.rint(rows - sign * step * math.cos(azimuth)).astype(int)
            c = np.rint(columns + sign * step * math.sin(azimuth)).astype(int)
            outside = (r < 0) | (r >= mask.shape[0]) | (c < 0) | (c >= mask.shape[1])
            met |= outside | np.isin(mask[r.clip(0, mask.shape[0] - 1), c.clip(0, mask.shape[1] - 1)], (1, 255))
        return met.mean()

    assert meets_cloud(1) > 0.99
    assert meets_cloud(-1) < 0.9


def test_labels_are_complete(sample):
    polygons, fields = layer(sample / "labels.gpkg", "landcover")
    assert pyogrio.list_layers(sample / "labels.gpkg").tolist() == [["landcover", "Polygon"]]
    assert pyogrio.read_info(sample / "labels.gpkg")["crs"] == "EPSG:4326"
    assert {name: number for name, number in zip(fields["class"], fields["class_id"], strict=True)} == CLASSES
    assert shapely.is_valid(polygons).all() and (shapely.get_num_interior_rings(polygons) > 0).any()
    order = [name for k, name in enumerate(fields["class"]) if k == 0 or name != fields["class"][k - 1]]
    assert order == ["field", "forest", "built", "water", "road"]


def test_every_class_and_some_background_lie_in_the_aoi(points):
    shares = np.bincount(points[1], minlength=6) / len(points[1])
    assert shares.min() > 0.01 and 0.05 < shares[0] < 0.3


@pytest.mark.parametrize(("date", "orbit"), [("2023-06-05", "r022"), ("2023-06-28", "r065"), ("2023-10-16", "r065")])
def test_labels_match_the_picture(scenes, inner_points, date, orbit):
    scene = scene_on(scenes, date, orbit)
    lonlat, classes = clear_points(scene, inner_points)
    blue, red, near = (sample_asset(scene, lonlat, name) for name in ("B02", "B04", "B08"))
    assert np.array_equal(near < 600, classes == 1)
    forest, field, built = classes == 2, classes == 3, classes == 4
    assert np.median(red[forest]) < 0.6 * np.median(red[field])
    assert orbit == "r022" or np.median(blue[built]) > 1.3 * np.median(blue[forest])


@pytest.mark.parametrize(("date", "orbit"), [("2023-02-15", "r022"), ("2023-04-29", "r065")])
def test_shores_lie_where_the_labels_say(sample, scenes, date, orbit):
    scene = scene_on(scenes, date, orbit)
    polygons, fields = layer(sample / "labels.gpkg", "landcover")
    project = pyproj.Transformer.from_crs(4326, scene["properties"]["proj:epsg"], always_xy=True).transform
    back = pyproj.Transformer.from_crs(scene["properties"]["proj:epsg"], 4326, always_xy=True).transform
    metres = shapely.transform(polygons, lambda xy: np.column_stack(project(*xy.T)))
    roads = shapely.union_all(metres[fields["class"] == "road"]).buffer(20)
    water = shapely.union_all(metres[fields["class"] == "water"])
    for distance, wet in ((-12, True), (12, False)):
        shore = water.buffer(distance).boundary.segmentize(10).difference(roads)
        lonlat = np.column_stack(back(*shapely.get_coordinates(shore).T))
        near = sample_asset(scene, lonlat, "B08")[sample_asset(scene, lonlat, "cloud_mask") == 0]
        assert len(near) > 100
        assert ((near < 1200) == wet).mean() > 0.99


@pytest.mark.parametrize(("date", "orbit"), [("2023-06-05", "r022"), ("2023-06-28", "r065")])
def test_roads_show_among_fields(sample, scenes, date, orbit):
    scene = scene_on(scenes, date, orbit)
    polygons, fields = layer(sample / "labels.gpkg", "landcover")
    edges = shapely.get_coordinates(shapely.segmentize(polygons[fields["class"] == "road"], 60 / 111_320))
    places = np.concatenate([edges + offset for offset in offsets(6)])
    middle = np.all([classes_at(sample, places + offset) == 5 for offset in offsets(3)], axis=0)
    lonlat, _ = clear_points(scene, (places[middle], places[middle]))
    brighter = []
    for offset in offsets(40):
        field = (classes_at(sample, lonlat + offset) == 3) & (sample_asset(scene, lonlat + offset, "cloud_mask") == 0)
        brighter += list(sample_asset(scene, lonlat[field], "B02") > sample_asset(scene, lonlat[field] + offset, "B02"))
    assert len(brighter) > 100 and np.mean(brighter) > 0.9


def test_seasons_change_fields_and_leaves(scenes, inner_points):
    def greenness(date, orbit, name):
        scene = scene_on(scenes, date, orbit)
        lonlat, classes = clear_points(scene, inner_points)
        lonlat = lonlat[classes == CLASSES[name]]
        red, near = (sample_asset(scene, lonlat, band).astype(float) for band in ("B04", "B08"))
        return ((near - red) / (near + red)).mean()

    winter, spring, summer, autumn = (
        {name: greenness(*scene, name) for name in ("field", "forest")}
        for scene in (("2023-02-15", "r022"), ("2023-04-29", "r065"), ("2023-07-05", "r022"), ("2023-10-13", "r022"))
    )
    assert spring["field"] > winter["field"] + 0.1
    assert spring["field"] > autumn["field"] + 0.1
    assert summer["forest"] > winter["forest"] + 0.1
    assert summer["forest"] > autumn["forest"] + 0.05


@pytest.mark.parametrize(("columns", "rows"), [(8, 6), (3, 2), (1, 1)])
def test_the_aoi_meets_exactly_the_requested_tiles(sample, tmp_path, columns, rows):
    directory = sample if (columns, rows) == (8, 6) else tmp_path
    if directory is tmp_path:
        write_sample(directory, columns=columns, rows=rows)
    (outline,), _ = layer(directory / "aoi.gpkg", "aoi")
    assert pyogrio.read_info(directory / "aoi.gpkg")["crs"] == "EPSG:4326"
    assert outline.bounds[0] > 12.05 and len(outline.exterior.coords) > 4
    tiles = DLTile.from_shape(outline, resolution=10.0, tilesize=60, pad=2)
    expected = {f"60:2:10.0:33:{-334 + i}:{8903 + j}" for i in range(columns) for j in range(rows)}
    assert {tile.key for tile in tiles} == expected


def test_a_small_sample_holds_every_class(tmp_path):
    write_sample(tmp_path, columns=3, rows=2)
    (outline,), _ = layer(tmp_path / "aoi.gpkg", "aoi")
    polygons, fields = layer(tmp_path / "labels.gpkg", "landcover")
    assert set(fields["class_id"][shapely.intersects(polygons, outline)]) == {1, 2, 3, 4, 5}
