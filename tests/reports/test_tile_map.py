"""The report's maps against the tiles' coordinates and the area's outline."""

import math
import re
from dataclasses import replace

import numpy as np
import pyproj
import pytest
import shapely

from segchips.grids.tile import Grid, Tile
from segchips.reports.ledger import NO_SCENES, write_ledger
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
