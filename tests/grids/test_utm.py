"""UTM against the client library's."""

import numpy as np
from earthdaily.earthone.core.common.dltile.utm import utm_to_lonlat

from segchips.grids.utm import to_lonlat


def test_own_utm_is_the_clients_bit_for_bit():
    rng = np.random.default_rng(2)
    for zone in range(6, 56):
        points = np.column_stack([rng.uniform(166_000, 834_000, 500), rng.uniform(-9.3e6, 9.3e6, 500)])
        lon, lat = to_lonlat(points[:, 0], points[:, 1], zone)
        assert (np.column_stack([lon, lat]) == utm_to_lonlat(points, zone)).all()
