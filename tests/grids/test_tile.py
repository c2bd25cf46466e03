"""Tiles and grids against the client library's own."""

import subprocess
import sys

import numpy as np
import pytest
from earthdaily.earthone.core.common.dltile import Tile as ClientTile
from earthdaily.earthone.geo import DLTile

from segchips.errors import InputError
from segchips.grids.tile import Grid, Tile, chip_filename, chip_key, chip_name

RESOLUTIONS = [10, 0.5, 0.3, 1.25, 30.000001, 0.333333, 4.7, 1000, 100]


def random_keys(count):
    rng = np.random.default_rng(7)
    for _ in range(count):
        tilesize, pad = rng.integers(1, 2000), rng.integers(0, 64)
        resolution = f"{rng.choice([*RESOLUTIONS, round(rng.uniform(0.1, 60), 6)]):f}".rstrip("0")
        core = tilesize * float(resolution)
        path, row = rng.integers(-334_000, 334_000) // core, rng.integers(-9_900_000, 9_900_000) // core
        zone = rng.integers(1, 61)
        yield f"{tilesize}:{pad}:{resolution}{'0' * resolution.endswith('.')}:{zone:02d}:{path:.0f}:{row:.0f}"


def test_tiles_have_the_clients_key_bounds_and_geotransform():
    rows = []
    for key in random_keys(400):
        ours, theirs = Tile.from_key(key), ClientTile.from_key(key)
        assert ours.key == theirs.key == key
        assert ours.crs == f"EPSG:{theirs.epsg}"
        assert ours.core_bounds == theirs.utm_bounds_unpadded
        assert ours.bounds == theirs.utm_bounds
        assert ours.geotransform == theirs.geotransform
        assert (ours.grid.size, ours.grid.tilesize, ours.grid.core) == (
            theirs.tile_extent,
            theirs.tilesize,
            theirs.utm_tilesize,
        )
        rows.append(ours.row)
    assert min(rows) < 0 < max(rows)


def test_tiles_have_the_public_tiles_bounds_and_geotransform():
    for key in random_keys(20):
        ours, theirs = Tile.from_key(key), DLTile.from_key(key)
        assert (ours.key, ours.bounds, ours.geotransform) == (theirs.key, theirs.bounds, theirs.geotrans)


def test_a_tile_made_from_its_parts_has_the_clients_key():
    assert Tile(Grid(64, 2, 10), 5, -58, -8465).key == "60:2:10.0:05:-58:-8465"
    assert Tile(Grid(64, 2, 0.25), 33, 0, 0).key == "60:2:0.25:33:0:0"


def test_a_name_is_the_key_with_hashes_and_comes_back():
    for key in random_keys(50):
        name = Tile.from_key(key).name
        assert ":" not in name and Tile.from_name(name) == Tile.from_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "60:2:10.0:33:-58",
        "60:2:10.0:33:-58:8465:1",
        "60:2:10.0:33:-58:8465x",
        "60:2:10.0:33:-58:84.5",
        "60:-2:10.0:33:-58:8465",
        "0:2:10.0:33:-58:8465",
        "60:2:0.0:33:-58:8465",
        "60:2:10.0:00:-58:8465",
        "60:2:10.0:61:-58:8465",
    ],
)
def test_an_invalid_key_is_named_and_explained(key):
    with pytest.raises(InputError, match="tile key") as caught:
        Tile.from_key(key)
    assert repr(key) in str(caught.value)


def test_chip_files_are_named_after_the_key():
    tile = Tile.from_key("60:2:10.0:33:-58:8465")
    assert (tile.name, tile.filename) == ("60#2#10.0#33#-58#8465", "60#2#10.0#33#-58#8465.tif")
    assert (chip_name(tile.key), chip_filename(tile.key), chip_key(tile.name)) == (tile.name, tile.filename, tile.key)
    assert Tile.from_name(tile.name) == tile


def test_keys_and_names_need_no_numpy():
    program = "import sys; import segchips.grids.tile; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
