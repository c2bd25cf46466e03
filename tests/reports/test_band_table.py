"""The report's table of bands against NumPy over all image chips at once."""

import numpy as np
import pytest
import rasterio

from segchips.tiles.assignment import MADE
from support.report_page import Page, parse_number
from support.report_results import BANDS, SPLITS, build_results, count_pixels, image_pixels, report_dataset, write_page


def test_band_statistics_are_those_of_all_chips_at_once(page, results):
    _, rows = results
    figures, band = {}, ""
    for row in page.tables["bands"][1:]:
        band, cells = (row[0], row[1:]) if len(row) == 7 else (band, row)
        figures[band.split("×")[0], cells[0]] = [parse_number(cell) for cell in cells[1:]]
    for index, band in enumerate(BANDS):
        for split in SPLITS:
            numbers = [n for n, row in enumerate(rows) if row.state == MADE and row.split == split]
            every = np.concatenate([image_pixels(n)[index].ravel() for n in numbers]).astype(float)
            values = every[every != 0]
            expected = [100 * values.size / every.size, values.min(), values.max(), values.mean(), values.std()]
            assert figures[band, split][0] == pytest.approx(expected[0], abs=0.05)
            assert figures[band, split][1:3] == expected[1:3]
            assert figures[band, split][3:] == pytest.approx(expected[3:], rel=1e-5)
    assert len(figures) == len(BANDS) * len(SPLITS)
    assert "B03× 0.0001 -0.1" in [row[0] for row in page.tables["bands"]]


def test_a_band_without_valid_pixel_says_so(tmp_path):
    rows = build_results(tmp_path)
    for row in rows:
        if row.state == MADE and row.split == "val":
            with rasterio.open(tmp_path / "images" / f"{row.tile.replace(':', '#')}.tif", "r+") as chip:
                chip.write(np.zeros((16, 16), "uint16"), 2)
    count_pixels(tmp_path, rows)
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert ["val", "0.0 %", "no valid pixel"] in page.tables["bands"]
