"""Nodata values of public collections whose items and files may declare none.

Extend `_COLLECTIONS` by collections whose documentation names the value.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class _Collection:
    """Collections by their ids, and the bands in which `nodata` is fill, by asset key or band name."""

    ids: re.Pattern[str]
    bands: re.Pattern[str]
    nodata: float


_COLLECTIONS = (
    # Sentinel-2 MSI products of ESA: 0 is NODATA in every image, and class 0 of SCL. Cloud and snow probabilities are
    # left out: 0 percent is a value there.
    _Collection(
        re.compile(r"sentinel-?_?(s2|2)($|[-_])|s2[-_]?(msi)?[-_]?l?(1c|2a)", re.IGNORECASE),
        re.compile(
            r"(B(0?[1-9]|1[0-2]|8A)|coastal|blue|green|red|rededge\d*|nir\d*|swir\d+|cirrus"
            r"|visual|tci|scl|aot|wvp)([-_](10|20|60)m|-jp2)?",
            re.IGNORECASE,
        ),
        0.0,
    ),
    # Landsat Collections 1 and 2 of USGS: 0 is fill in bands of reflectance, radiance and temperature. Quality bands
    # have other values for fill.
    _Collection(
        re.compile(r"landsat|l[cetm]0[1-9]_l[12]|ls[1-9]_", re.IGNORECASE),
        re.compile(
            r"((S[RT]_)?B\d+[A-Z]?|coastal|blue|green|red|nir\d*|swir\d+|lwir\d*|cirrus|pan)(_VCID_\d)?",
            re.IGNORECASE,
        ),
        0.0,
    ),
)


def is_known(collection: str) -> bool:
    """Return whether anything is known of a collection of that id."""
    return any(known.ids.match(collection) for known in _COLLECTIONS)


def known_nodata(collection: str, *names: str) -> float | None:
    """Return the value that a collection is known to use for fill in a band, or None.

    Args:
        collection: The id of the STAC collection.
        names: The asset key and the names of the band.
    """
    for known in _COLLECTIONS:
        if known.ids.match(collection) and any(known.bands.fullmatch(name) for name in names):
            return known.nodata
    return None
