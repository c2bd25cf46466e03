"""Large and intricate areas are cut into tiles in seconds."""

import numpy as np
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.grids.tile import Grid
from support.areas import GLOBE, GRID, blob, client_keys, points_in, tile_at


def country(vertices, lon, lat, radius):
    """A ring as crinkled as a coast."""
    rng = np.random.default_rng(3)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    waves = np.arange(1, vertices // 4)
    spectrum = rng.normal(size=waves.size) / waves**1.3 * np.exp(2j * np.pi * rng.random(waves.size))
    coast = np.fft.irfft(np.concatenate([[0], spectrum, np.zeros(vertices // 2 - waves.size)]), vertices)
    reach = radius * (1 + 0.35 * coast / np.abs(coast).max())
    return shapely.Polygon(
        np.column_stack([lon + reach * np.cos(angle) / np.cos(np.radians(lat)), lat + reach * np.sin(angle)])
    )


def test_tiles_of_a_country_of_many_vertices():
    aoi = country(20_000, 15, 48, 0.95)
    tiles = cover_area(aoi, GRID)
    assert len(tiles) > 100_000
    indices = {(tile.zone, tile.path, tile.row) for tile in tiles}
    assert [point for point in points_in(aoi, 3000) if tile_at(GRID, *point) not in indices] == []
    area = shapely.transform(
        aoi, pyproj.Transformer.from_crs(4326, 3035, always_xy=True).transform, interleaved=False
    ).area
    assert len(tiles) * GRID.core**2 < 1.1 * area


def test_tiles_of_thousands_of_scattered_parts():
    rng = np.random.default_rng(6)
    parts = np.array([blob(rng, *middle, 0.002) for middle in rng.uniform([12.5, 43], [17.5, 49], (3000, 2))])
    grid = Grid(64, 2, 1)
    tiles = cover_area(parts, grid)
    few = cover_area(parts[:20], grid)
    assert {tile.key for tile in few} == {key for part in parts[:20] for key in client_keys(part, grid)}
    assert set(few) <= set(tiles)


def test_too_many_tiles_are_refused_before_they_fill_the_memory():
    with pytest.raises(InputError, match="more than 5,000,000 tiles of 6 m"):
        cover_area(GLOBE, Grid(64, 2, 0.1))
