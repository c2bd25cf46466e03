"""Scenes and footprints made from a few values."""

import math

import numpy as np
import shapely

from segchips.scenes.model import Band, Scene
from segchips.scenes.pinning import SceneLock
from segchips.scenes.placement import Placement
from segchips.scenes.query import SceneQuery
from support.datasets import parse_utc

PLACEMENT = Placement("EPSG:32633", (10.0, 0.0, 1.5, 0.0, -10.0, 2.0), (3, 4))
QUERY = SceneQuery("stac", "catalog.json", ("s2",), "2017-01-01", "2017-12-31", 0.1, None)


def scene(name="a", when="2017-06-01T10:00:00+00:00", box=(14, 45, 15, 46), product="s2", cloud=0.05, **assets):
    assets = assets or {"B1": [("B1", Band(f"{name}.tif", 1, 0.0, 1.0, 0.0))]}
    return Scene(product, name, parse_utc(when), cloud, assets, shapely.to_wkb(shapely.box(*box)))


def boxes(*corners):
    return np.array([shapely.box(x, y, x + 0.1, y + 0.1) for x, y in corners], dtype=object)


def names(lock, key):
    return [lock.scenes[index].id for index in lock.tiles[key]]


def band(number=1, href="x.tif"):
    return Band(href, number, None, 1.0, 0.0)


def full_lock():
    bands = {
        "data": [("B1", Band("a/b.tif", 1, math.nan, 0.0001, -0.1)), ("B2", Band("a/b.tif", 2, -9999.0, 1.0, 0.0))],
        "scl": [("scl", Band("https://example.com/a.tif", 1, None, 1.0, 0.0, known_nodata=0.0, placement=PLACEMENT))],
    }
    scenes = (
        scene("ä b/c", "2017-06-01T10:00:00.123456+00:00", cloud=None, **bands),
        scene("b", "2017-06-01T10:00:00+00:00", (0, 0, 1, 1), cloud=0.0),
        scene("b", "2017-06-01T12:00:00+02:00", product="masks"),
    )
    return SceneLock.of(QUERY.text, scenes, {"t1": (0, 1), "t0": (1, 2), "bare": (), "t2": (2,)})
