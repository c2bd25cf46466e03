"""Layers that GDAL wrote, their repair, and their reprojection against PROJ point by point."""

import json
import sqlite3
import struct
import warnings
import zipfile
from contextlib import closing

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio.raw
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.geometry import extract_polygons, reproject_geometries
from segchips.vectors.layers import ReadOptions, find_layer, layer_names, read_layer

SQUARE = "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))"
WGS84 = pyproj.CRS(4326)

pytestmark = pytest.mark.filterwarnings("error", "ignore:'crs' was not provided", "ignore:.*[Nn]on closed ring")


def write(path, geometries, values=None, crs="EPSG:4326", geometry_type="Unknown", **options):
    """A vector file of WKT, WKB or null geometries with one attribute `class`."""
    wkb = [shapely.to_wkb(shapely.from_wkt(g)) if isinstance(g, str) else g for g in geometries]
    values = np.arange(len(wkb)) if values is None else values
    pyogrio.raw.write(
        path, np.array(wkb, dtype=object), [values], ["class"], geometry_type=geometry_type, crs=crs, **options
    )
    return str(path)


def squares(count):
    return [shapely.box(i, 0, i + 1, 1).wkt for i in range(count)]


def as_zip(path):
    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as opened:
        for member in path.parent.glob(f"{path.stem}.*"):
            if member != archive:
                opened.write(member, member.name)
    return str(archive)


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson", "fgb", "gdb", "kml", "sqlite", "zip"])
def test_any_format_gives_its_features_in_file_order(tmp_path, suffix):
    path = tmp_path / f"fields.{'shp' if suffix == 'zip' else suffix}"
    values = np.array([7, 3, 5, 1], dtype=np.int32)
    options = {"fgb": {"SPATIAL_INDEX": "NO"}, "kml": {"driver": "LIBKML"}, "gdb": {"driver": "OpenFileGDB"}}.get(
        suffix, {}
    )
    source = write(path, squares(4), values, geometry_type="Polygon", **options)
    layer = read_layer(as_zip(path) if suffix == "zip" else source, attribute="class")
    assert [int(value) for value in layer.values] == values.tolist()
    assert shapely.bounds(layer.geometries)[:, 0].tolist() == [0, 1, 2, 3]
    assert (layer.name, layer.crs, layer.repaired, layer.dropped) == ("fields", WGS84, 0, 0)
    first = int(layer.fids[0])
    assert layer.fids.dtype == np.int64 and layer.fids.tolist() == list(range(first, first + 4))


def test_fids_are_those_of_the_file(tmp_path):
    features = [
        {"type": "Feature", "id": i, "properties": {}, "geometry": shapely.geometry.mapping(shapely.from_wkt(SQUARE))}
        for i in (2, 5, 9)
    ]
    path = tmp_path / "ids.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert read_layer(str(path)).fids.tolist() == [2, 5, 9]


def test_the_crs_is_the_layers(tmp_path):
    path = write(tmp_path / "utm.gpkg", ["POLYGON ((500000 0, 500010 0, 500010 10, 500000 0))"], crs="EPSG:32733")
    assert read_layer(path).crs == pyproj.CRS(32733)


# Each case: the geometry, and the area of what it means when it is drawn filled.
BROKEN = {
    "bow-tie": ("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))", 2),
    "ring over itself": ("POLYGON ((0 0, 6 0, 6 4, 2 4, 2 -2, 4 -2, 4 6, 0 6, 0 0))", 36),
    "part in part": ("MULTIPOLYGON (((0 0, 4 0, 4 4, 0 4, 0 0)), ((1 1, 2 1, 2 2, 1 2, 1 1)))", 16),
    "same part twice": ("MULTIPOLYGON (((0 0, 4 0, 4 4, 0 4, 0 0)), ((0 0, 4 0, 4 4, 0 4, 0 0)))", 16),
    "overlapping parts": ("MULTIPOLYGON (((0 0, 4 0, 4 4, 0 4, 0 0)), ((2 2, 6 2, 6 6, 2 6, 2 2)))", 28),
    "overlapping holes": (
        "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 5 1, 5 5, 1 5, 1 1), (3 3, 7 3, 7 7, 3 7, 3 3))",
        53,
    ),
    "spike": ("POLYGON ((0 0, 4 0, 4 4, 8 4, 4 4, 0 4, 0 0))", 16),
    "ring twice round": ("POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0, 4 0, 4 4, 0 4, 0 0))", 16),
}


@pytest.mark.parametrize("case", BROKEN)
def test_invalid_polygons_are_repaired_and_counted(tmp_path, case):
    wkt, area = BROKEN[case]
    layer = read_layer(write(tmp_path / "broken.gpkg", [SQUARE, wkt]))
    assert (layer.repaired, layer.dropped) == (1, 0)
    assert shapely.is_valid(layer.geometries).all()
    assert layer.geometries[1].area == pytest.approx(area)


def test_a_ring_left_open_is_closed_and_counted(tmp_path):
    ring = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2]]]}
    path = tmp_path / "open.geojson"
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": ring}))
    layer = read_layer(str(path))
    assert (layer.repaired, layer.geometries[0].area) == (1, 4)


def test_features_without_area_are_dropped_and_counted(tmp_path):
    nan = struct.pack("<BIII10d", 1, 3, 1, 5, 0, 0, 1, 0, 1, np.nan, 0, 1, 0, 0)
    flat = "POLYGON ((0 0, 4 0, 2 0, 0 0))"
    useless = [None, "POLYGON EMPTY", "POINT (1 1)", "LINESTRING (0 0, 1 1)", flat, nan, "GEOMETRYCOLLECTION EMPTY"]
    layer = read_layer(write(tmp_path / "mixed.gpkg", [*useless, SQUARE]), attribute="class")
    assert (layer.dropped, layer.absent, layer.repaired) == (6, 1, 0)
    assert (layer.fids.tolist(), layer.values.tolist()) == ([8], [7])


def test_collections_keep_their_polygons_however_deep(tmp_path):
    deep = (
        f"GEOMETRYCOLLECTION (POINT (9 9), LINESTRING (0 0, 9 9), {SQUARE}, "
        "GEOMETRYCOLLECTION (MULTIPOLYGON (((5 5, 6 5, 6 6, 5 6, 5 5)), ((7 7, 8 7, 8 8, 7 8, 7 7)))))"
    )
    layer = read_layer(write(tmp_path / "deep.gpkg", [deep]))
    expected = shapely.union_all([shapely.box(a, a, a + 1, a + 1) for a in (0, 5, 7)])
    assert shapely.equals(layer.geometries[0], expected)
    assert (layer.repaired, layer.dropped) == (0, 0)


def test_overlapping_polygons_of_a_collection_become_one():
    collection = shapely.GeometryCollection([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)])
    made, repaired = extract_polygons(np.array([collection]))
    assert (made[0].area, repaired.tolist()) == (7, [True])


def test_polygonal_leaves_its_input_alone():
    given = shapely.from_wkt([BROKEN["bow-tie"][0], "POINT (1 1)", SQUARE])
    kept = given.copy()
    made, _ = extract_polygons(given)
    assert (given == kept).all() and made[1] is None and shapely.equals(made[2], given[2])


def test_curves_are_followed(tmp_path):
    circle = struct.pack("<BII", 1, 8, 5) + struct.pack("<10d", 0, 0, 1, 1, 2, 0, 1, -1, 0, 0)
    layer = read_layer(write(tmp_path / "curve.gpkg", [struct.pack("<BII", 1, 10, 1) + circle]))
    assert layer.geometries[0].area == pytest.approx(np.pi, rel=2e-3)


def test_heights_are_dropped(tmp_path):
    layer = read_layer(write(tmp_path / "z.gpkg", ["POLYGON Z ((0 0 5, 1 0 5, 1 1 5, 0 0 5))"]))
    assert not shapely.has_z(layer.geometries).any()


def test_a_table_beside_the_one_layer_does_not_count(tmp_path):
    path = tmp_path / "styled.gpkg"
    pyogrio.raw.write(path, None, [np.arange(2)], ["x"], layer="layer_styles", geometry_type=None, crs=None)
    write(path, squares(1), layer="fields", append=True)
    assert layer_names(str(path)) == ["fields"] and read_layer(str(path)).name == "fields"


def test_find_layer_answers_without_reading_features(tmp_path):
    path = write(tmp_path / "fields.gpkg", squares(1), crs="EPSG:32633")
    assert find_layer(path, attribute="class") == ("fields", pyproj.CRS(32633))


def refused(tmp_path, *words, path=None, **arguments):
    with pytest.raises(InputError) as caught:
        read_layer(str(path), **arguments)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    for word in words:
        assert word in text, text
    return text


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path, "does not exist", path=tmp_path / "nope.gpkg")


@pytest.mark.parametrize("name", ["notes.txt", "image.tif", "table.gpkg"])
def test_a_file_without_vectors_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"II*\0 this is not a vector file")
    refused(tmp_path, "cannot be read as a vector layer", path=path)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_half_a_file_is_named(tmp_path, suffix):
    path = tmp_path / f"half.{suffix}"
    write(path, squares(2000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(tmp_path, "cannot be read", path=path)


def test_a_file_of_tables_alone_has_no_layer(tmp_path):
    path = tmp_path / "tables.gpkg"
    pyogrio.raw.write(path, None, [np.arange(2)], ["x"], layer="t", geometry_type=None, crs=None)
    refused(tmp_path, "no layer with geometries", path=path)


def test_several_layers_need_a_name(tmp_path):
    path = tmp_path / "two.gpkg"
    write(path, squares(1), layer="fields")
    write(path, squares(2), layer="roads", append=True)
    refused(tmp_path, "several layers", "'fields', 'roads'", path=path)
    assert len(read_layer(str(path), "roads").geometries) == 2


def test_a_missing_layer_is_refused_with_those_that_exist(tmp_path):
    path = tmp_path / "two.gpkg"
    write(path, squares(1), layer="fields")
    write(path, squares(1), layer="roads", append=True)
    refused(tmp_path, "no layer 'field'", "did you mean 'fields'?", "'fields', 'roads'", path=path, layer="field")


def test_a_missing_attribute_is_refused_with_those_that_exist(tmp_path):
    path = write(tmp_path / "fields.gpkg", squares(1))
    text = refused(
        tmp_path, "no attribute 'CLASS'", "did you mean 'class'?", "it has 'class'", path=path, attribute="CLASS"
    )
    with pytest.raises(InputError) as caught:
        find_layer(path, attribute="CLASS")
    assert str(caught.value) == text


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb"])
def test_a_layer_without_crs_is_refused_with_the_remedy(tmp_path, suffix):
    path = write(tmp_path / f"bare.{suffix}", squares(1), crs=None, geometry_type="Polygon")
    refused(tmp_path, "no CRS", "ogr2ogr -a_srs", path=path)


@pytest.mark.parametrize("undefined", [-1, 0])
def test_an_undefined_crs_is_refused(tmp_path, undefined):
    path = write(tmp_path / "bare.gpkg", squares(1))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update gpkg_geometry_columns set srs_id = ?", [undefined])
        database.execute("update gpkg_contents set srs_id = ?", [undefined])
    refused(tmp_path, "no CRS", path=path)


@pytest.mark.parametrize("geometries", [[], ["POINT (1 1)", None]])
def test_a_layer_without_polygon_is_refused(tmp_path, geometries):
    path = write(tmp_path / "points.gpkg", geometries)
    refused(tmp_path, "no polygon", f"{len(geometries)} features", path=path)


def test_transform_moves_every_vertex_where_proj_moves_it():
    corners = [(14.0, 46.0), (14.001, 46.0), (14.001, 46.001)]
    moved = reproject_geometries(np.array([shapely.Polygon(corners)]), WGS84, pyproj.CRS(32633), "layer")
    proj = pyproj.Transformer.from_crs(4326, 32633, always_xy=True)
    assert shapely.get_coordinates(moved)[:3] == pytest.approx(
        np.array([proj.transform(*c) for c in corners]), abs=1e-6
    )


@pytest.mark.parametrize(("source", "corner", "edge"), [(3035, (4_500_000, 2_600_000), 400_000), (4326, (14, 46), 4)])
def test_transform_keeps_long_edges_where_they_were(source, corner, edge):
    square = shapely.box(*corner, corner[0] + edge, corner[1] + edge)
    moved = reproject_geometries(np.array([square]), pyproj.CRS(source), pyproj.CRS(32633), "layer")[0]
    proj = pyproj.Transformer.from_crs(source, 32633, always_xy=True)
    along = [proj.transform(*point.coords[0]) for point in square.exterior.interpolate(np.linspace(0, 4 * edge, 4001))]
    assert shapely.distance(moved.exterior, shapely.points(along)).max() < 0.25
    assert len(shapely.get_coordinates(moved)) > 1000


def test_transform_measures_edges_in_the_crs_own_unit():
    feet = pyproj.CRS(2263)
    edge = 100_000 * 0.3048006096
    moved = reproject_geometries(np.array([shapely.box(900_000, 100_000, 1_000_000, 200_000)]), feet, WGS84, "layer")[0]
    assert 4 * edge / 1000 < len(shapely.get_coordinates(moved)) < 4 * edge / 1000 * 1.1 + 5


def test_transform_into_the_same_crs_changes_nothing():
    given = np.array([shapely.box(-179, -80, 179, 80)])
    assert reproject_geometries(given, WGS84, pyproj.CRS("OGC:CRS84"), "layer") is given


@pytest.mark.parametrize("box", [(14, 89, 15, 91), (500_000, 5e6, 600_000, 5.1e6)])
def test_coordinates_that_do_not_exist_name_the_layer(box):
    with pytest.raises(InputError, match="layer 'a' of 'b'.*UTM zone 33N.*WGS 84"):
        reproject_geometries(np.array([shapely.box(*box)]), WGS84, pyproj.CRS(32633), "layer 'a' of 'b'")


def surface(kind, rings):
    """WKB of a TIN (16) or polyhedral surface (15), with heights."""
    part = {15: 3, 16: 17}[kind]
    faces = [
        struct.pack("<BIII", 1, 1000 + part, 1, len(ring)) + b"".join(struct.pack("<3d", *point) for point in ring)
        for ring in rings
    ]
    return struct.pack("<BII", 1, 1000 + kind, len(faces)) + b"".join(faces)


ROOF = [(0, 0, 5), (2, 0, 5), (2, 2, 6), (0, 0, 5)], [(0, 0, 5), (2, 2, 6), (0, 2, 5), (0, 0, 5)]
WALL = [(0, 0, 0), (2, 0, 0), (2, 0, 5), (0, 0, 0)]


@pytest.mark.parametrize("kind", [15, 16])
@pytest.mark.parametrize("declared", [True, False])
def test_surfaces_are_read_as_their_outline(tmp_path, kind, declared):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Registering non-standard gpkg_geom_TIN extension"
        path = write(tmp_path / "solid.gpkg", [surface(kind, [*ROOF, WALL]), SQUARE], layer="solid")
    write(path, squares(1), layer="flat", append=True)
    if declared:
        with closing(sqlite3.connect(path)) as database, database:
            for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
                database.execute(f'drop trigger "{name}"')
            database.execute("update gpkg_geometry_columns set geometry_type_name = 'TIN' where table_name = 'solid'")
    assert sorted(layer_names(path)) == ["flat", "solid"]
    layer = read_layer(path, "solid", "class")
    assert [shape.area for shape in layer.geometries] == [4, 1] and layer.values.tolist() == [0, 1]
    assert layer.geometries[0].equals(shapely.box(0, 0, 2, 2)) and layer.repaired == 0
    assert find_layer(path, "solid", "class") == ("solid", WGS84) and len(read_layer(path, "flat").geometries) == 1


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
def test_geoparquet_is_read_whatever_gdal_knows(tmp_path, encoding):
    frame = gpd.GeoDataFrame(
        {"kind": ["a", None, "c"], "code": [1, 2, 3]}, geometry=shapely.box([0, 1, 2], 0, [1, 2, 3], 1), crs=32633
    )
    path = tmp_path / "fields.parquet"
    frame.to_parquet(path, geometry_encoding=encoding)
    assert layer_names(str(path)) == ["fields"] and find_layer(str(path), attribute="kind")[1] == pyproj.CRS(32633)
    layer = read_layer(str(path), attribute="kind")
    assert layer.values.tolist() == ["a", None, "c"] and layer.fids.tolist() == [0, 1, 2]
    assert shapely.equals(layer.geometries, frame.geometry.to_numpy()).all()
    assert read_layer(str(path), attribute="code").values.dtype == np.int64
    refused(tmp_path, "no attribute 'cod'", "did you mean 'code'?", "it has 'kind', 'code'", path=path, attribute="cod")


def test_parquet_that_is_not_geoparquet_is_named(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    refused(tmp_path, "without the metadata of GeoParquet", path=path)
    path.write_bytes(b"PAR1 and no more")
    refused(tmp_path, "cannot be read as GeoParquet", path=path)


@pytest.mark.parametrize("declared", ["UTF-8", "ascii"])
def test_texts_in_another_encoding_than_declared_name_the_file(tmp_path, declared):
    path = tmp_path / "woods.shp"
    write(path, squares(2), np.array(["Wälder", "See"], dtype=object), geometry_type="Polygon", encoding="cp1252")
    path.with_suffix(".cpg").write_text(declared)
    if declared == "UTF-8":
        refused(tmp_path, "encoding UTF-8", "woods.cpg", "correct that file", path=path, attribute="class")
    options = ReadOptions(encoding="cp1252")
    assert read_layer(str(path), None, "class", options).values.tolist() == ["Wälder", "See"]
    refused(
        tmp_path,
        "labels.encoding",
        path=path,
        attribute="class",
        options=ReadOptions(encoding="cp9999", block="labels"),
    )


@pytest.mark.parametrize(
    ("crs", "words"),
    [("EPSG:99999", "labels.crs"), ("EPSG:4978", "not one of places"), ("IAU_2015:49900", "a CRS of the earth")],
)
def test_a_crs_that_cannot_be_used_is_named(tmp_path, crs, words):
    path = write(tmp_path / "a.gpkg", squares(1))
    with pytest.raises(InputError, match=words):
        to_lonlat_geometries(read_layer(path, options=ReadOptions(crs=crs, block="labels")))
