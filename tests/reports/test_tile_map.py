"""The report's maps against the tiles' coordinates and the area's outline."""

import math
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyproj
import pytest
import shapely

from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import ByTile
from segchips.reports.ledger import NO_SCENES, LedgerRow, to_ledger, write_ledger
from segchips.reports.tile_boxes import TileBoxes
from segchips.reports.tile_map import CONFLICT_LEVELS, MAX_SQUARES, MapView, conflict_map, tile_map
from segchips.tiles.assignment import MADE
from support.assignments import write_dataset_manifest
from support.report_page import Page, corners
from support.report_results import (
    GRID,
    TILES,
    area_polygons,
    build_results,
    conflict_pixels,
    ledger_rows,
    report_dataset,
    write_conflicts,
    write_page,
)


def test_map_has_every_tile_with_its_state_where_it_lies(page, results):
    _, rows = results
    paths = dict(re.findall(r'<path d="(M[^"]+Z)"><title>([^<]*)</title>', page.figure("map")))
    titles = {title: path for path, title in paths.items()}
    assert set(titles) == {f"{row.tile}, {row.split}: {row.state}" for row in rows}
    to_lonlat = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    lonlat, drawn = [], []
    for row, tile in zip(rows, TILES, strict=True):
        west, south, east, north = tile.core_bounds
        lonlat.append(to_lonlat.transform((west + east) / 2, (south + north) / 2))
        corners = [
            tuple(map(float, corner.split()))
            for corner in re.split("[ML]", titles[f"{row.tile}, {row.split}: {row.state}"][:-1])[1:]
        ]
        assert len(corners) == 4
        drawn.append(np.mean(corners, axis=0))
    (lon, lat), (x, y) = np.array(lonlat).T, np.array(drawn).T
    across, up = np.polyfit(lon, x, 1), np.polyfit(lat, y, 1)
    assert np.abs(np.polyval(across, lon) - x).max() < 0.05 and np.abs(np.polyval(up, lat) - y).max() < 0.05
    assert across[0] > 0 > up[0]
    assert across[0] / -up[0] == pytest.approx(math.cos(math.radians(lat.mean())), rel=1e-3)


def test_map_frame_and_scale_bar_fit_the_tiles(page):
    paths = re.findall(r'<path d="M([^"]+)Z"><title>', page.figure("map"))
    corners = np.array([tuple(map(float, corner.split())) for path in paths for corner in path.split("L")])
    figure = page.figure("map")
    width, height = map(float, re.search(r'<rect width="([\d.]+)" height="([\d.]+)" fill="#fbfbfb"', figure).groups())
    (west, north), (east, south) = corners.min(axis=0), corners.max(axis=0)
    assert 0 < west == pytest.approx(width - east, abs=0.05)
    assert 0 < north == pytest.approx(height - south, abs=0.05)
    bar, label_ = re.search(r'<path d="M0 -4V0H([\d.]+)V-4".*?>([\d.]+) m</text>', figure).groups()
    ground = GRID.core * 4 / (south - north) * float(bar)
    assert ground == pytest.approx(float(label_), rel=0.02)


def test_map_holds_together_at_the_antimeridian(tmp_path):
    rows = ledger_rows()[:2]
    tiles = [Tile(Grid(1024, 0, 10.0), 1, -33, 0), Tile(Grid(1024, 0, 10.0), 60, 32, 0)]
    build_results(tmp_path, rows + ledger_rows()[2:])
    write_dataset_manifest(tmp_path / "tiles.parquet", tiles, report_dataset())
    write_conflicts(tmp_path, tiles)
    write_ledger(
        tmp_path / "ledger.csv",
        [replace(row, tile=tile.key, state=NO_SCENES) for row, tile in zip(rows, tiles, strict=True)],
    )
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    paths = re.findall(r'<path d="(M[^"]+Z)"><title>', page.figure("map"))
    corners = np.array([tuple(map(float, pair)) for path in paths for pair in re.findall(r"([\d.-]+) ([\d.-]+)", path)])
    assert len(paths) == 2 and np.ptp(corners[:, 0]) > 300
    assert np.ptp(corners[:, 0]) / np.ptp(corners[:, 1]) < 3


def on_map(page):
    """From UTM to pixels of the map, fitted to the corners of the tiles."""
    drawn = dict(re.findall(r'<path d="(M[^"]+Z)"><title>([^:]*:[^,]*)', page.figure("map")))
    drawn = {key: corners(path)[0].mean(axis=0) for path, key in drawn.items()}
    ground = np.array([(*np.reshape(tile.core_bounds, (2, 2)).mean(axis=0), 1) for tile in TILES])
    to_map, *_ = np.linalg.lstsq(ground, np.array([drawn[tile.key] for tile in TILES]), rcond=None)
    return lambda geometry: shapely.transform(geometry, lambda at: np.column_stack([at, np.ones(len(at))]) @ to_map)


def test_outline_is_that_of_the_area_as_a_whole(page):
    (path,) = set(re.findall(r'<path class="area" d="([^"]+)"', page.html))
    assert page.html.count(path) == 2
    drawn = shapely.union_all([shapely.linestrings(line) for line in corners(path)])
    expected = on_map(page)(shapely.union_all(area_polygons())).boundary
    assert drawn.hausdorff_distance(expected) < 1
    assert drawn.length == pytest.approx(expected.length, rel=0.01)


def test_conflicts_are_counted_and_mapped(page):
    counts = {tile.key: conflict_pixels(number) for number, tile in enumerate(TILES)}
    in_conflict = {key: count for key, count in counts.items() if count}
    assert page.texts["conflicts"].startswith(f"{sum(in_conflict.values())} pixels of {len(in_conflict)} tiles")
    head, *body = page.tables["claimed"]
    assert [(row[0], int(row[1])) for row in body[:-1]] == sorted(in_conflict.items(), key=lambda item: -item[1])[:10]
    assert body[0][2] == "100.0 %" and body[-1] == [f"and {len(in_conflict) - 10} more in conflicts.parquet"]
    figure = page.figure("conflict-map")
    legend = re.findall(r'fill="(#\w{6})"[^>]*/></svg>([^<]*)</li>', figure)
    assert [text for _, text in legend[:-1]] == ["none", "up to 1.0 %", "above 1.0 %", "above 5.0 %"]
    colours = [colour for colour, _ in legend]
    levels = {}
    for colour, group in re.findall(r'<g fill="(#\w{6})" stroke="#fff"[^>]*>(.*?)</g>', figure, re.DOTALL):
        levels |= dict.fromkeys(re.findall(r"<title>([^ ]*): ", group), colours.index(colour))
    share = {key: count / 256 for key, count in in_conflict.items()}
    assert levels == {key: 1 + (part > 0.01) + (part > 0.05) + (part > 0.2) for key, part in share.items()}


def many_tiles():
    """More tiles than a map draws one by one, with their rows of the ledger and boxes."""
    tiles = [Tile(Grid(16, 2, 10.0), 33, column, 8000 + row) for row in range(90) for column in range(130)]
    rng = np.random.default_rng(3)
    splits, states = rng.choice(["train", "val"], len(tiles)).tolist(), rng.choice([MADE, NO_SCENES], len(tiles))
    rows = [
        LedgerRow(tile.key, split, 0, state, "", None, 1)
        for tile, split, state in zip(tiles, splits, states.tolist(), strict=True)
    ]
    outlines = core_outlines(tiles)
    boxes = TileBoxes.of(dict(zip([tile.key for tile in tiles], outlines, strict=True)))
    return rows, boxes, shapely.get_coordinates(shapely.centroid(outlines))


def drawn_squares(variables):
    """Middle and key of each square of a map, and the side of the squares."""
    found, sides = [], set()
    for key, shapes in variables["shapes"].items():
        for _, path in shapes:
            for x, y, side in re.findall(r"M([\d.-]+) ([\d.-]+)h([\d.]+)", path):
                sides.add(float(side))
                found.append((float(x) + float(side) / 2, float(y) + float(side) / 2, key))
    return found, sides.pop()


def test_a_square_of_many_tiles_shows_the_one_nearest_to_its_middle():
    rows, boxes, lonlat = many_tiles()
    variables = tile_map(to_ledger(rows), boxes, np.array([], object))
    squares, side = drawn_squares(variables)
    assert 1000 < variables["squares"] == len(squares) <= MAX_SQUARES
    view = MapView.around(boxes)
    places = np.column_stack([view.x(lonlat[:, 0]), view.y(lonlat[:, 1])])
    right = 0
    for x, y, key in squares:
        distance = np.hypot(*(places - (x, y)).T)
        nearest = np.flatnonzero(distance <= distance.min() + 0.2)  # coordinates of paths are rounded
        inside = (np.abs(places[nearest] - (x, y)) <= side / 2 + 0.1).all(axis=1)
        assert inside.any()
        right += key in {(rows[row].split, rows[row].state) for row in nearest[inside].tolist()}
    assert right == len(squares)


def conflict_level(pixels):
    """The number of the highest limit that the share of 256 pixels exceeds; -1 without conflicts."""
    return sum(pixels / 256 > limit for limit in CONFLICT_LEVELS) - 1


def test_a_square_of_many_tiles_shows_its_most_conflicts():
    rows, boxes, lonlat = many_tiles()
    rng = np.random.default_rng(5)
    pixels = np.where(rng.random(len(rows)) < 0.05, rng.integers(1, 257, len(rows)), 0)
    conflicts = ByTile(boxes.keys, pa.array(pixels))
    squares, side = drawn_squares(conflict_map(conflicts, boxes, np.array([], object), 16))
    view = MapView.around(boxes)
    places = np.column_stack([view.x(lonlat[:, 0]), view.y(lonlat[:, 1])])
    for x, y, level in squares:
        away = np.abs(places - (x, y)).max(axis=1) - side / 2
        surely, perhaps = pixels[away < -0.1], pixels[away < 0.1]
        least, most = (max([-1, *map(conflict_level, some.tolist())]) for some in (surely, perhaps))
        assert least <= (-1 if level is None else level) <= most
