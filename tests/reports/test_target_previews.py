"""Pictures of the label targets after the first."""

import numpy as np
import pytest

from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.reports.colours import BACKGROUND, UNKNOWN
from segchips.reports.ledger import LedgerRow
from segchips.reports.target_previews import target_pictures
from support.chips import write_chip
from support.datasets import make_dataset
from support.report_page import decode_png

KEY = "60:2:10.0:33:-128:8489"
ROW = LedgerRow(KEY, "train", 0, "made", "", 1.0, 1)
TARGETS = make_dataset(
    labels={
        "path": "a.gpkg",
        "targets": {
            "main": {"unknown": 254},
            "crops": {"unknown": 250, "attribute": "crop", "classes": {"rye": 3, "oats": 7}},
            "height": {"kind": "continuous"},
            "buildings": {"kind": "instances"},
        },
    }
).labels.targets


def pictures(folder, chips):
    (folder / "labels").mkdir()
    for target, pixels in chips.items():
        write_chip(folder / "labels" / target / chip_filename(KEY), pixels[..., None])
    return {one.title: decode_png(one.picture)[..., :3] for one in target_pictures(TARGETS, folder, [ROW])[KEY]}


def test_every_kind_of_label_is_drawn(tmp_path):
    crops = np.full((32, 32), 255, "uint8")
    crops[:4], crops[4:8], crops[8:12] = 3, 7, 250
    height = np.linspace(0, 100, 32 * 32, dtype="float32").reshape(32, 32)
    height[:, :5] = np.nan
    buildings = np.zeros((32, 32), "uint16")
    buildings[:, 10:20], buildings[:, 20:30] = 1, 300
    drawn = pictures(tmp_path, {"crops": crops, "height": height, "buildings": buildings})
    assert list(drawn) == ["crops", "height", "buildings"]
    rows = [tuple(drawn["crops"][row, 0]) for row in (0, 5, 9, 20)]
    assert rows[2:] == [UNKNOWN, BACKGROUND] and len(set(rows)) == 4
    assert (drawn["height"][:, :5] == BACKGROUND).all()
    assert (np.diff(drawn["height"][:, 10].astype(int).sum(axis=1)) <= 0).all()
    places = [tuple(drawn["buildings"][0, column]) for column in (0, 15, 25)]
    assert places[0] == BACKGROUND and len(set(places)) == 3


def test_a_chip_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"crops.*cannot be read"):
        target_pictures(TARGETS, tmp_path, [ROW])
