"""Unusual label layers: odd shapes, sizes and names are burned exactly, or an error names them."""

import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from segchips.errors import InputError, SegchipsError
from segchips.grids.cover import cover_area
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import ReadOptions, read_layer
from support.datasets import tile_at
from support.label_features import TILE, UTM, burn_tile, read_features
from support.projects import Project
from support.vectors import write_vectors

SEED = 11


def centre_features(path, **layer):
    return read_features(path, all_touched=False, **layer)


def pixel_centres(tile):
    west, step, _, north, _, _ = tile.geotransform
    middle = (np.arange(tile.grid.size) + 0.5) * step
    return np.meshgrid(west + middle, north - middle)


def values_at_centres(tile, polygons, values, background=255):
    """The value of the last polygon over each pixel's centre."""
    x, y = pixel_centres(tile)
    out = np.full(x.shape, background, np.uint8)
    for polygon, value in zip(polygons, values, strict=True):
        out[shapely.contains_xy(polygon, x, y)] = value
    return out


@pytest.mark.slow
def test_two_hundred_thousand_features(tmp_path):
    rng, tiles = np.random.default_rng(SEED), [tile_at(32, east=east, north=3) for east in (0, 9)]
    bounds = np.array([tile.bounds for tile in tiles])
    west, south = bounds[:, :2].min(axis=0)
    corners = rng.uniform((west, south), bounds[:, 2:].max(axis=0), (200_000, 2)) + 0.001
    sizes, values = rng.uniform(3, 40, 200_000), rng.integers(0, 250, 200_000)
    boxes = shapely.box(*corners.T, *(corners + sizes[:, None]).T)
    features = centre_features(write_vectors(tmp_path / "many.gpkg", boxes, UTM, v=values), attribute="v")
    for tile in tiles:
        x, y = pixel_centres(tile)
        expected = np.full(x.shape, 255, np.uint8)
        for place in np.ndindex(x.shape):
            over = (corners < (x[place], y[place])).all(axis=1) & (corners + sizes[:, None] > (x[place], y[place])).all(
                axis=1
            )
            expected[place] = values[over.nonzero()[0][-1]] if over.any() else 255
        np.testing.assert_array_equal(burn_tile(features, tile), expected)


@pytest.mark.slow
def test_a_polygon_of_twenty_megabytes(tmp_path):
    west, south, east, north = TILE.bounds
    angles = np.linspace(0, 2 * np.pi, 1_300_000, endpoint=False)
    reach = 130 + 40 * np.sin(angles * 37) + np.random.default_rng(SEED).uniform(-0.002, 0.002, angles.size)
    ring = np.column_stack([(west + east) / 2 + reach * np.cos(angles), (south + north) / 2 + reach * np.sin(angles)])
    polygon = shapely.Polygon(ring)
    path = write_vectors(tmp_path / "large.gpkg", [polygon], UTM)
    assert Path(path).stat().st_size > 20e6
    shapely.prepare(polygon)
    np.testing.assert_array_equal(burn_tile(centre_features(path)), values_at_centres(TILE, [polygon], [1]))
    assert TILE in cover_area(to_lonlat_geometries(read_layer(path)), TILE.grid)


def labelled_shapes():
    """Well-behaved and other geometries around the tile, each with the area that counts; None where there is none."""
    west, south, _, _ = TILE.bounds

    def at(x, y, width=90, height=60):
        return shapely.box(west + x, south + y, west + x + width, south + y + height)

    def ring(*points):
        return [(west + x, south + y) for x, y in points]

    outer, inner = at(10, 10, 280, 280), at(100.5, 100.5, 50, 50)
    bow = shapely.Polygon(ring((0.3, 0.7), (120, 120), (120, 0.7), (0.3, 120)))
    triangles = [ring((0.3, 0.7), (60.15, 60.35), (0.3, 120)), ring((120, 0.7), (60.15, 60.35), (120, 120))]
    high = shapely.force_3d(at(200.3, 20.3), 7.0)
    nested = shapely.GeometryCollection(
        [
            shapely.GeometryCollection([at(20.3, 220.3), shapely.Point(west, south)]),
            shapely.LineString(ring((0, 0), (9, 9))),
        ]
    )
    doubled = shapely.Polygon(ring((150.3, 200.3), (250.3, 200.3), (250.3, 260.3), (150.3, 260.3), (150.3, 200.3)) * 2)
    return [
        (outer, outer),
        (outer.difference(inner), outer.difference(inner)),
        (inner, inner),
        (bow, shapely.MultiPolygon(list(map(shapely.Polygon, triangles)))),
        (shapely.Polygon(), None),
        (None, None),
        (shapely.GeometryCollection(), None),
        (shapely.MultiPolygon(), None),
        (nested, at(20.3, 220.3)),
        (high, at(200.3, 20.3)),
        (doubled, at(150.3, 200.3, 100, 60)),
        (shapely.MultiPoint(ring((3, 3), (9, 9))), at(0, 0, 10, 10)),
        (at(900, 900), at(900, 900)),
    ]


def star_polygon(points, inner=5):
    """Spikes of 300 m around the middle of the tile."""
    west, south, east, north = TILE.bounds
    angle, radius = np.linspace(0, 2 * np.pi, points, endpoint=False), np.where(np.arange(points) % 2, 300.0, inner)
    return shapely.Polygon(
        np.column_stack([(west + east) / 2 + radius * np.cos(angle), (south + north) / 2 + radius * np.sin(angle)])
    )


def comb_polygon(points):
    """Teeth side by side across the tile, as many vertices as a star's."""
    west, south, east, north = TILE.bounds
    x, y = np.linspace(west, east, points), np.where(np.arange(points) % 2, north, (south + north) / 2)
    return shapely.Polygon(np.column_stack([np.append(x, [east, west]), np.append(y, [south, south])]))


@pytest.mark.parametrize("shape", ["ring", "collection"])
def test_a_star_that_would_take_hours_to_burn_is_an_error_at_once(tmp_path, shape):
    geometry = star_polygon(1_300_000)
    if shape == "collection":
        geometry = shapely.geometrycollections([shapely.Point(0, 0), shapely.multipolygons([geometry])])
    path = write_vectors(tmp_path / "star.gpkg", [shapely.box(*TILE.bounds), geometry], UTM)
    with pytest.raises(InputError, match=r"star\.gpkg': feature FID 2 has 1,300,00\d vertices on long edges"):
        read_layer(str(path))


def test_a_star_whose_vertices_squared_are_more_than_32_bits_is_named(tmp_path):
    path = write_vectors(tmp_path / "star.gpkg", [star_polygon(2**17)], UTM)
    with pytest.raises(InputError, match=r"feature FID 1 has 131,073 vertices on long edges"):
        read_layer(str(path))


@pytest.mark.parametrize("polygon", [star_polygon(1000), comb_polygon(300_000)], ids=["star", "comb"])
def test_spikes_of_moderate_complexity_are_burned_exactly(tmp_path, polygon):
    path = write_vectors(tmp_path / "spikes.gpkg", [polygon], UTM)
    np.testing.assert_array_equal(burn_tile(centre_features(path)), values_at_centres(TILE, [polygon], [1]))


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
@pytest.mark.parametrize("seed", range(4))
def test_geometries_of_every_kind_in_one_layer_in_any_order(tmp_path, suffix, seed):
    shapes = labelled_shapes()
    random.Random(seed).shuffle(shapes)
    numbers = list(range(1, len(shapes) + 1))
    path = tmp_path / f"mixed.{suffix}"
    write_vectors(path, [shape for shape, _ in shapes], UTM, v=np.array(numbers))
    counting = [(area, number) for (_, area), number in zip(shapes, numbers, strict=True) if area is not None]
    layer = read_layer(str(path), None, "v", ReadOptions(only_polygons=False))
    np.testing.assert_array_equal(
        burn_tile(centre_features(path, attribute="v")), values_at_centres(TILE, *zip(*counting, strict=True))
    )
    assert len(layer.geometries) == len(counting) and layer.dropped + layer.absent == len(shapes) - len(counting)


@pytest.mark.parametrize("values", [["1", "two", "3"], ["", "2", "3"], ["1", "2", "3e9"], ["1", None, "nan"]])
def test_text_among_numbers_names_attribute_and_value(tmp_path, values):
    boxes = [area for _, area in labelled_shapes()[:3]]
    path = write_vectors(tmp_path / "text.gpkg", boxes, UTM, v=values)
    with pytest.raises(InputError, match="attribute 'v'") as caught:
        centre_features(path, attribute="v")
    assert "\n" not in str(caught.value)


NAMES = [
    "with space",
    "it's",
    'say "hi"',
    "a#b",
    "50%",
    "%41",
    "поля",
    "畑",
    "öä",
    "$(id)",
    "{x}",
    "a&b",
    "-f",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_files_layers_and_attributes_may_have_any_name(tmp_path, name):
    area = labelled_shapes()[0][0]
    layer = re.sub(r"[$&;%{}()-]", "", name)  # GDAL writes no layer of other names
    write_vectors(tmp_path / "plain.gpkg", [area], UTM, layer=layer, **{name: np.array([9])})
    write_vectors(tmp_path / "plain.gpkg", [area], UTM, layer="other", v=np.array([1]))
    path = (tmp_path / "plain.gpkg").rename(tmp_path / f"{name}.gpkg")
    features = centre_features(path, layer=layer, attribute=name)
    np.testing.assert_array_equal(burn_tile(features), values_at_centres(TILE, [area], [9]))
    with pytest.raises(InputError) as caught:
        centre_features(path, layer=f"{layer}x", attribute=name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["two\nlines", "a;b"])
def test_a_name_that_gdal_cannot_read_is_an_error_of_one_line(tmp_path, name):
    path = Path(write_vectors(tmp_path / "plain.gpkg", [labelled_shapes()[0][0]], UTM)).rename(
        tmp_path / f"{name}.gpkg"
    )
    with pytest.raises(InputError, match="cannot be read as a vector layer|does not exist") as caught:
        centre_features(path)
    assert "\n" not in str(caught.value)


def test_a_layer_damaged_anywhere_is_read_or_named(tmp_path):
    """200 seeded changes of bytes in a GeoJSON file and 100 in a GeoPackage."""
    draws = random.Random(SEED)
    for suffix, rounds in (("geojson", 200), ("gpkg", 100)):
        path = tmp_path / f"good.{suffix}"
        shapes = labelled_shapes()
        write_vectors(path, [shape for shape, _ in shapes], UTM, v=np.arange(len(shapes)) + 1)
        content = path.read_bytes()
        for number in range(rounds):
            data = bytearray(content)
            for _ in range(draws.choice([1, 3, 10])):
                at = draws.randrange(len(data))
                data[at : at + draws.choice([1, 8])] = draws.choice(
                    [b"\0", b"9", b"]", b"\xff\xff", draws.randbytes(4)]
                )
            bad = tmp_path / f"bad{number}.{suffix}"
            bad.write_bytes(data[: draws.choice([len(data)] * 3 + [draws.randrange(len(data))])])
            try:
                burn_tile(centre_features(bad, attribute="v"))
                cover_area(to_lonlat_geometries(read_layer(str(bad))), TILE.grid)
            except SegchipsError as error:
                assert "\n" not in str(error)
            bad.unlink()


def test_the_workflow_runs_with_unusual_names_and_folders(sample_run: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "проект №1 'x' 50%")
    shutil.copytree(sample_run.folder / "resources", project.folder / "resources")
    frame = pyogrio.read_dataframe(project.folder / "resources/sample/labels.gpkg")
    odd = project.folder / "mein Ordner #1" / 'Gebiete "畑" 100%.gpkg'
    odd.parent.mkdir()
    frame.rename(columns={"class": "art d'usage %"}).to_file(odd, layer="слой #1 'a' 畑")
    config = sample_run.config
    config["results"] = "Ergebnisse 結果 'x' 50% #1"
    config["defaults"]["labels"] |= {
        "path": str(odd.relative_to(project.folder)),
        "layer": "слой #1 'a' 畑",
        "attribute": "art d'usage %",
    }
    project.write(config)
    result = project.run()
    assert result.returncode == 0, result.stdout
    made = project.folder / config["results"] / "sample"
    for kind in ("images", "labels"):
        expected = {path.name: path.read_bytes() for path in (sample_run.results() / kind).glob("*.tif")}
        assert {path.name: path.read_bytes() for path in (made / kind).glob("*.tif")} == expected
    assert json.loads((made / "tfrecords" / "dataset_info.json").read_text())["name"] == "sample"
    assert sorted(path.name for path in (made / "tfrecords").iterdir()) == sorted(
        path.name for path in (sample_run.results() / "tfrecords").iterdir()
    )
