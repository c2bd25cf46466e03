"""Grids in a dozen projected CRSs: keys, cover, neighbours, outlines, and tiles around points."""

from itertools import combinations

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from segchips.errors import InputError
from segchips.grids.centres import indices_around
from segchips.grids.cover import cover_area
from segchips.grids.ground import check_location, tile_centres
from segchips.grids.indices import decode_indices, encode_indices, tile_indices
from segchips.grids.neighbours import neighbour_pairs, neighbourhood
from segchips.grids.outlines import core_outlines, footprints
from segchips.grids.planar_cover import planar_tiles
from segchips.grids.projected import projected_code
from segchips.grids.systems import ProjectedSystem, UtmZones
from segchips.grids.tile import Grid, Tile
from support.projected_grids import AREAS, area_of, projected_grid, to_crs

CODES = sorted(AREAS)
coordinate = st.one_of(st.just(0.0), st.integers(-30_000_000, 30_000_000).map(float), st.floats(-1e7, 1e7))


@st.composite
def grids(draw):
    pad, core = draw(st.integers(0, 20)), draw(st.integers(2, 600))
    stride = draw(st.none() | st.integers(1, core - 1))
    resolution = draw(st.one_of(st.floats(1e-3, 1e5), st.sampled_from([10.0, 0.1, 0.5971642834779395, 3.0])))
    if draw(st.booleans()):
        return Grid(core + 2 * pad, pad, resolution, stride, UtmZones()), draw(st.integers(1, 60))
    system = ProjectedSystem(draw(st.sampled_from(CODES)), (draw(coordinate), draw(coordinate)))
    return Grid(core + 2 * pad, pad, resolution, stride, system), 0


@given(grids(), st.integers(-(2**27), 2**27 - 1), st.integers(-(2**27), 2**27 - 1))
def test_a_key_alone_tells_the_tile_and_no_other_tile_has_it(grid, path, row):
    tile = Tile(grid[0], grid[1], path, row)
    assert Tile.from_key(tile.key) == tile == Tile.from_name(tile.name)
    assert Tile.from_key(tile.key).geotransform == tile.geotransform
    assert decode_indices(encode_indices(tile_indices([tile]))).tolist() == [[grid[1], path, row]]
    assert set(tile.name) <= set("0123456789.#+-sEPSGRI")


@pytest.mark.parametrize(
    ("key", "crs", "west", "north"),
    [
        ("60:2:10.0:EPSG2056:4333:1999", "EPSG:2056", 4333 * 600 - 20, 2000 * 600 + 20),
        ("60:2:10.0:EPSG2056+2600000.0-1200000.5:1:-1", "EPSG:2056", 2600600 - 20, -1200000.5 + 20),
        ("60s30:0:0.1:ESRI102008:-7:3", "ESRI:102008", -7 * 3.0, 3 * 3.0 + 6),
        ("60s1:0:10.0:33:5:3", "EPSG:32633", 500_050, 630),
    ],
)
def test_crs_and_geotransform_follow_from_the_key(key, crs, west, north):
    tile = Tile.from_key(key)
    assert tile.key == key and tile.crs == crs
    assert (tile.geotransform[0], tile.geotransform[3]) == (pytest.approx(west), pytest.approx(north))


@pytest.mark.parametrize(
    "key",
    [
        "60:2:10.0:IAU30120:1:1",
        "60:2:10.0:EPSG:1:1",
        "60s60:2:10.0:33:1:1",
        "60s0:2:10.0:33:1:1",
        "1:1:1:EPSG1+5:1:1",
        "60:2:10.0:EPSG02056:1:1",
        "60:2:10.0:EPSG2056:1:\u0663",
    ],
)
def test_other_texts_are_not_keys(key):
    with pytest.raises(InputError, match="tile key"):
        Tile.from_key(key)


def points_of(code, count, seed):
    west, south, east, north = AREAS[code]
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(west, east, count), rng.uniform(south, north, count)
    return np.concatenate([lon, [west, east, west, east, 180.0][: 4 + (west <= 180 <= east)]]), np.concatenate(
        [lat, [south, south, north, north, south][: 4 + (west <= 180 <= east)]]
    )


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("stride", "origin"), [(None, (0.0, 0.0)), (40, (12.5, -3.0))])
def test_every_point_of_an_area_lies_in_a_core_box_and_every_tile_shares_ground(code, stride, origin):
    west, south, east, north = to_crs(code).transform_bounds(*AREAS[code])
    resolution = round(max(abs(east - west), abs(north - south)) / 2500, 1)
    grid = projected_grid(code, 100, 3, resolution, stride, origin)
    tiles = cover_area(area_of(code), grid)
    assert len({tile.key for tile in tiles}) == len(tiles)
    lon, lat = points_of(code, 3000, 1)
    x, y = to_crs(code).transform(lon, lat)
    boxes = shapely.box(*np.array([tile.core_bounds for tile in tiles]).T)
    tree = shapely.STRtree(boxes)
    hit, _ = tree.query(shapely.points(x, y), predicate="dwithin", distance=1e-3)
    assert len(np.unique(hit)) == len(lon)
    inner = np.linspace(0.02, 0.98, 9)
    left, bottom, right, top = np.array([tile.core_bounds for tile in tiles]).T
    u, v = np.meshgrid(inner, inner)
    across = (left + (right - left) * u.ravel()[:, None], bottom + (top - bottom) * v.ravel()[:, None])
    back = pyproj.Transformer.from_crs(code, 4326, always_xy=True).transform(*across)
    west, south, east, north = AREAS[code]
    slack = 1.5 * np.ptp(back[1], axis=0).max()  # a tile may share less than the sampled points see
    inside = (
        ((back[0] - west + slack) % 360 <= east - west + 2 * slack)
        & (back[1] >= south - slack)
        & (back[1] <= north + slack)
    )
    assert inside.any(axis=0).all()


@pytest.mark.parametrize("code", CODES)
def test_neighbours_have_neither_gap_nor_overlap(code):
    grid = projected_grid(code, 64, 2, 0.7, None, (0.1, 0.2))
    rng = np.random.default_rng(2)
    for path, row in rng.integers(-3_000_000, 3_000_000, (50, 2)).tolist():
        tile, east, north = (Tile(grid, 0, path + dx, row + dy) for dx, dy in ((0, 0), (1, 0), (0, 1)))
        assert tile.core_bounds[2] == pytest.approx(east.core_bounds[0], abs=1e-6)
        assert tile.core_bounds[3] == pytest.approx(north.core_bounds[1], abs=1e-6)


@pytest.mark.parametrize("stride", [None, 7, 1])
@pytest.mark.parametrize(("code", "guard"), [("EPSG:2056", 0), ("EPSG:2056", 95.0), ("EPSG:2263", 30.0)])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_pairs_are_those_whose_boxes_are_close(code, guard, stride, data):
    grid = projected_grid(code, 16, 2, 10.0, stride)
    unit = pyproj.CRS(code).axis_info[0].unit_conversion_factor
    places = data.draw(
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=12, unique=True)
    )
    tiles = [Tile(grid, 0, path, row) for path, row in places]
    expected = set()
    for one, other in combinations(range(len(tiles)), 2):
        first, second = (shapely.box(*tiles[at].bounds) for at in (one, other))
        if first.intersection(second).area > 1e-6 or first.distance(second) * unit < guard:
            expected |= {(one, other), (other, one)}
    indices = tile_indices(tiles)
    by_code = {code: at for at, code in enumerate(encode_indices(indices).tolist())}
    found = {
        (position, by_code[code])
        for positions, codes in neighbour_pairs(indices, grid, guard)
        for position, code in zip(positions.tolist(), codes.tolist(), strict=True)
        if code in by_code
    }
    assert found == expected
    assert set(by_code) <= set(neighbourhood(indices, grid, guard).tolist())


@pytest.mark.parametrize("stride", [None, 1])
def test_tiles_at_both_ends_of_the_world_share_ground(stride):
    grid = projected_grid("EPSG:6933", 64, 2, 1000.0, stride)
    points = np.array([[179.9, 10.0], [-179.9, 10.1], [179.0, 10.0], [170.0, 10.0]])
    if stride:
        indices = indices_around(points, pyproj.CRS(4326), np.arange(4), grid, "points")
    else:
        x, y = to_crs("EPSG:6933").transform(*points.T)
        indices = np.column_stack([np.zeros(4), np.floor(x / grid.core), np.floor(y / grid.core)]).astype(int)
    world = 2 * to_crs("EPSG:6933").transform(180, 0)[0]
    boxes = [shapely.box(*Tile(grid, *index).bounds) for index in indices.tolist()]
    expected = set()
    for one in range(4):
        for other in range(4):
            turned = [shapely.transform(boxes[other], lambda xy, t=turn: xy + [t, 0]) for turn in (-world, 0, world)]
            if tuple(indices[one]) != tuple(indices[other]) and any(
                boxes[one].intersection(t).area > 1 for t in turned
            ):
                expected.add((tuple(indices[one].tolist()), tuple(indices[other].tolist())))
    found = {
        (tuple(indices[position].tolist()), tuple(decode_indices(np.array([code]))[0].tolist()))
        for positions, codes in neighbour_pairs(indices, grid, 0)
        for position, code in zip(positions.tolist(), codes.tolist(), strict=True)
    }
    given_tiles = set(map(tuple, indices.tolist()))
    assert {pair for pair in found if pair[1] in given_tiles} == expected
    assert any(abs(one[1] - other[1]) > 100 for one, other in expected)


@pytest.mark.parametrize("code", CODES)
def test_outlines_hold_the_points_of_their_tiles(code):
    west, south, east, north = to_crs(code).transform_bounds(*AREAS[code])
    grid = projected_grid(code, 100, 3, round(max(abs(east - west), abs(north - south)) / 2000, 1))
    tiles = cover_area(area_of(code), grid)[:300]
    back = pyproj.Transformer.from_crs(code, 4326, always_xy=True).transform
    rng = np.random.default_rng(5)
    for tile, core, footprint in zip(tiles, core_outlines(tiles), footprints(tiles), strict=True):
        left, bottom, right, top = tile.core_bounds
        x, y = rng.uniform(0.05, 0.95, 30), rng.uniform(0.05, 0.95, 30)
        lon, lat = back(left + x * (right - left), bottom + y * (top - bottom))
        assert shapely.contains_xy(core, lon, lat).all(), tile.key
        assert shapely.contains_xy(footprint, lon, lat).all()
        assert core.bounds[0] >= -180 and core.bounds[2] <= 180


@pytest.mark.parametrize("origin", [(0.0, 0.0), (3000.0, -1000.0), (0.0, 300.0)])
def test_tiles_around_a_pole_cover_it(origin):
    grid = projected_grid("EPSG:3031", 64, 2, 100.0, None, origin)
    tiles = cover_area(shapely.box(-180, -90, 180, -89.8), grid)
    total = shapely.union_all(core_outlines(tiles))
    lon, lat = np.random.default_rng(3).uniform(-180, 180, 2000), np.random.default_rng(4).uniform(-90, -89.81, 2000)
    assert shapely.contains_xy(total, lon, lat).mean() > 0.999
    assert not shapely.contains_xy(total, lon, np.full(2000, -89.0)).any()


@pytest.mark.parametrize("code", [*CODES, "dltile"])
@pytest.mark.parametrize("size", [64, 33])
def test_the_middle_of_a_tile_around_a_point_is_the_nearest_possible(code, size):
    system = UtmZones() if code == "dltile" else ProjectedSystem(code, (0.3, 0.1))
    grid = Grid(size, 2, 0.5, 1, system)
    lon, lat = points_of(code if code in AREAS else "EPSG:2193", 200, 7)
    lon, lat = (lon + 180) % 360 - 180, np.clip(lat, -89.9, 89.9)
    indices = indices_around(np.column_stack([lon, lat]), pyproj.CRS(4326), np.arange(len(lon)), grid, "points")
    for index, x, y in zip(indices.tolist(), lon, lat, strict=True):
        tile = Tile(grid, *index)
        east, north = to_crs(tile.crs).transform(x, y)
        west, south, right, top = tile.core_bounds
        assert abs((west + right) / 2 - east) <= 0.25 + 1e-6 and abs((south + top) / 2 - north) <= 0.25 + 1e-6
    centre_lon, centre_lat = tile_centres(indices, grid)
    assert np.abs(centre_lat - lat).max() < 1e-4


def test_an_area_across_the_seam_of_any_meridian_has_tiles_at_both_ends():
    grid = projected_grid("EPSG:8859", 64, 2, 1000.0)
    tiles = cover_area(shapely.box(-31, 40, -29, 41), grid)
    assert 4 <= len(tiles) < 40
    assert min(tile.path for tile in tiles) < -250 and max(tile.path for tile in tiles) > 250


def test_an_area_far_beyond_the_crs_is_refused():
    with pytest.raises(InputError, match=r"beyond the area of use of EPSG:2056 .*longitude 5\.9.* to 10\."):
        cover_area(shapely.box(7, 46, 40, 47), projected_grid("EPSG:2056"))
    swapped = np.array([shapely.box(1200000, 2600000, 1201000, 2601000)])
    with pytest.raises(InputError, match="beyond the area of use of EPSG:2056 .*check its coordinates and CRS"):
        planar_tiles(swapped, projected_grid("EPSG:2056"))
    with pytest.raises(InputError, match="far outside the area of use of EPSG:2056"):
        check_location(Tile.from_key("60:2:10.0:EPSG2056:1999:4333"))
    for index in (10**20, 10**8 * 2):
        with pytest.raises(InputError, match="more than 134,217,728 tiles"):
            check_location(Tile.from_key(f"60:2:10.0:EPSG2056:{index}:0"))
    with pytest.raises(InputError, match="more than 134,217,728 tiles"):
        indices_around(
            np.array([[7.4, 46.9]]),
            pyproj.CRS(4326),
            np.array([3]),
            projected_grid("EPSG:2056", resolution=1e-20, stride=1),
            "p",
        )
    with pytest.raises(InputError, match="FID 3 lies beyond the area of use of EPSG:2056"):
        indices_around(
            np.array([[100.0, 0.0]]), pyproj.CRS(4326), np.array([3]), projected_grid("EPSG:2056", stride=1), "p"
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EPSG:4326", "is geographic"),
        ("EPSG:2048", "counts to the west"),
        ("EPSG:2065", "counts to the west"),
        ("EPSG:999999", "is unknown to PROJ"),
        ("nonsense", "is unknown to PROJ"),
        ("EPSG:4978", "is geographic"),
        ("EPSG:5703", "not a projected CRS"),
        ("+proj=laea +lat_0=47 +lon_0=8", "has no EPSG or ESRI code"),
        ("IAU_2015:30110", "has no EPSG or ESRI code"),
    ],
)
def test_other_crss_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        projected_code(text)


@pytest.mark.parametrize("code", CODES)
def test_a_crs_is_known_by_its_code_and_its_wkt(code):
    assert projected_code(code) == projected_code(pyproj.CRS(code).to_wkt()) == code
