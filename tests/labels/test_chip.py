"""Label chips as files on the tile's grid."""

import numpy as np
import pytest
import rasterio
from earthdaily.earthone.geo import DLTile

from segchips.grids.tile import Tile
from segchips.labels.chip import make_label
from segchips.labels.lock import lock_labels
from support.label_features import TILE, rasterize_whole, read_features, star_polygons
from support.vectors import write_vectors


@pytest.mark.parametrize("key", [TILE.key, "60:2:10.0:33:-58:8465", "250:3:0.5:01:3:-7"])
def test_a_label_chip_is_a_chip_on_the_tiles_grid(tmp_path, key):
    tile = Tile.from_key(key)
    polygons = star_polygons(np.random.default_rng(1), tile, 9, radius=(tile.bounds[2] - tile.bounds[0]) / 2)
    path = write_vectors(tmp_path / "a.gpkg", polygons, tile.crs, number=list(range(1, 10)))
    features = read_features(path, 77, attribute="number")
    lock = lock_labels(features, [tile], "code")
    for name in ("one.tif", "two.tif"):
        make_label(features, tile, lock.feature_indices[tile.key], tmp_path / "chips" / name)
    real = DLTile.from_key(key)
    with rasterio.open(tmp_path / "chips" / "one.tif") as chip:
        assert chip.dtypes == ("uint8",) and chip.nodata == 77 and chip.tags()["TILE"] == key
        assert chip.transform.to_gdal() == pytest.approx(real.geotrans, rel=1e-15)
        assert chip.crs.to_epsg() == int(real.crs.removeprefix("EPSG:"))
        assert chip.shape == (real.tilesize + 2 * real.pad,) * 2
        np.testing.assert_array_equal(chip.read(1), rasterize_whole(polygons, range(1, 10), tile, True, 77))
    assert (tmp_path / "chips" / "one.tif").read_bytes() == (tmp_path / "chips" / "two.tif").read_bytes()
    assert sorted(path.name for path in (tmp_path / "chips").iterdir()) == ["one.tif", "two.tif"]
