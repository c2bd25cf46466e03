"""Footprints, and the scenes of a STAC catalogue that meet them."""

import json

import numpy as np
import shapely

from conftest import Files
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import make_asset, make_item, write_catalogue
from support.datasets import make_dataset

HERE = shapely.geometry.mapping(shapely.box(14, 45, 15, 46))
THERE = shapely.geometry.mapping(shapely.box(24, 45, 25, 46))
FOOTPRINTS = np.array([shapely.box(14.2, 45.2, 14.3, 45.3), shapely.box(14.6, 45.6, 14.7, 45.7)], dtype=object)
DAY = "2017-06-01T10:00:00Z"


def find(catalog, footprints=FOOTPRINTS, **imagery):
    return StacCatalogue(make_dataset(imagery={"catalog": str(catalog), **imagery}).imagery.first).search(footprints)


def ids(scenes):
    return sorted(scene.id for scene in scenes)


def one(folder, **changes):
    """The only scene of a catalogue of one item."""
    content = make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE) | changes
    scenes = find(write_catalogue(folder, [content]))
    assert len(scenes) == 1
    return scenes[0]


class Json(Files):
    """Answers every request with JSON: `answer` gets what was posted."""

    def do_GET(self):  # noqa: N802
        self._send(self.answer(None))

    def do_POST(self):  # noqa: N802
        self._send(self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def _send(self, content):
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
