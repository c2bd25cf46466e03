"""The report's pictures, decoded, against the chips."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from segchips.chips.chip_file import write_chip
from segchips.grids.tile import Grid, Tile
from segchips.reports.contact_sheet import choose_tiles, display_bands
from segchips.reports.ledger import FAILED, UNFINISHED, LedgerRow
from segchips.tiles.assignment import MADE
from support.report_page import Page, decode_png
from support.report_results import (
    BACKGROUND,
    BANDS,
    SPLITS,
    TILES,
    build_results,
    count_pixels,
    image_pixels,
    label_pixels,
    ledger_rows,
    report_dataset,
    with_labels,
    write_page,
)


def test_unknown_labels_have_a_row_and_a_colour_of_their_own(tmp_path):
    build_results(tmp_path)
    plain = report_dataset()
    with_unknown = with_labels(plain, unknown=2, layers=())
    write_page(tmp_path, with_unknown, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    names = [row[0] for row in page.tables["classes"][1:]]
    assert names == ["0", "1", f"{BACKGROUND} background", "2 unknown", "all pixels"]
    rows = ledger_rows()
    for n, _, picture, _ in shown_chips(page, rows):
        unseen = (image_pixels(n) == 0).any(axis=0) | (label_pixels(n)[0] == 2)
        assert np.array_equal((picture == (96, 96, 96)).all(axis=2), unseen)


def shown_chips(page, rows):
    """Tile number and the three decoded pictures of each chip on the sheet."""
    pictures = {attrs["alt"]: decode_png(attrs["src"]) for attrs in page.elements["img"]}
    numbers = [n for n, row in enumerate(rows) if row.state == MADE]
    return [(n, *(pictures[f"{kind} of {rows[n].tile}"] for kind in ("image", "label", "overlay"))) for n in numbers]


def test_images_have_one_contrast_stretch_and_are_transparent_without_data(page, results):
    _, rows = results
    cards = shown_chips(page, rows)
    assert len(page.elements["img"]) == 3 * len(cards)
    true_colour = [0, 2, 3]
    valid = {n: (image_pixels(n)[true_colour] != 0).all(axis=0) for n, *_ in cards}
    together = np.concatenate([image_pixels(n)[true_colour][:, valid[n]] for n in valid], axis=1).astype(float)
    low, high = np.percentile(together, 2, axis=1), np.percentile(together, 98, axis=1)
    for n, image, _, _ in cards:
        assert np.array_equal(image[..., 3], np.where(valid[n], 255, 0))
        expected = np.clip((image_pixels(n)[true_colour].transpose(1, 2, 0) - low) / (high - low), 0, 1) * 255
        assert np.abs(image[..., :3][valid[n]] - expected[valid[n]]).max() <= 0.5 + 1e-6


def test_labels_have_the_legend_s_colours(page, results):
    _, rows = results
    swatch = r'fill="#(\w{6})"[^>]*/></svg>'
    legend = {
        int(value): bytes.fromhex(colour)
        for colour, value in re.findall(rf"<li><svg[^>]*><rect [^>]*{swatch}(\d+)", page.html)
    }
    assert set(legend) == {0, 1, 2, 9, BACKGROUND} and len(set(legend.values())) == 5
    for n, _, picture, _ in shown_chips(page, rows):
        for value in np.unique(label_pixels(n)):
            assert {bytes(pixel) for pixel in picture[label_pixels(n)[0] == value]} == {legend[int(value)]}


def test_overlay_leaves_background_and_tints_classes(tmp_path):
    rows = build_results(tmp_path)
    square = np.full((1, 16, 16), BACKGROUND, "uint8")
    square[0, 6:12, 6:12] = 2
    for row in rows:
        if row.state == MADE:
            with rasterio.open(tmp_path / "labels" / f"{row.tile.replace(':', '#')}.tif", "r+") as chip:
                chip.write(square)
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    for _, image, picture, overlay in shown_chips(page, rows):
        large = image.repeat(16, axis=0).repeat(16, axis=1)
        inside = np.zeros((256, 256), bool)
        inside[96:192, 96:192] = True
        outline = inside.copy()
        outline[97:191, 97:191] = False
        assert np.array_equal(overlay[~inside], np.where(large[~inside][:, 3:] > 0, large[~inside], overlay[~inside]))
        assert (overlay[~inside][:, 3] == large[~inside][:, 3]).all()
        assert {bytes(pixel) for pixel in overlay[outline][:, :3]} == {bytes(picture[8, 8])}
        tinted = inside & ~outline & (large[..., 3] > 0)
        towards = np.abs(overlay[..., :3].astype(int) - picture[8, 8]).sum(axis=-1)
        before = np.abs(large[..., :3].astype(int) - picture[8, 8]).sum(axis=-1)
        assert (towards[tinted] <= before[tinted]).all() and (overlay[tinted] != large[tinted]).any()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("B02", "B03", "B04", "B08"), (2, 1, 0)),
        (("nir", "Red", "GREEN", "blue"), (1, 2, 3)),
        (("s1/vv", "s2/red", "s2/green", "s2/blue"), (1, 2, 3)),
        (("B01", "B05", "B06", "B07"), (0, 1, 2)),
        (("vv", "vh"), (0,)),
    ],
)
def test_bands_with_known_names_are_shown_in_true_colour(names, expected):
    assert display_bands(names) == expected


def test_grey_float_chips_with_nan(tmp_path):
    rows = build_results(tmp_path, dtype="float32", bands=("vv", "vh"), nodata=math.nan)
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "Band vv in grey" in page.all
    for n, image, _, _ in shown_chips(page, rows):
        assert np.array_equal(image[..., 3] > 0, np.isfinite(image_pixels(n, "float32", 2)[0]))
        assert np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])


def test_large_chips_are_thinned_out(tmp_path):
    rows = [replace(row, state=MADE if n == 0 else UNFINISHED) for n, row in enumerate(ledger_rows())]
    build_results(tmp_path, rows)
    tile = Tile(Grid(600, 0, 10.0), 33, 0, 0)
    image = np.random.default_rng(0).integers(1, 9, (len(BANDS), 600, 600)).astype("uint16")
    write_chip(tmp_path / "images" / f"{TILES[0].name}.tif", image, tile, BANDS, 0, {})
    write_chip(tmp_path / "labels" / f"{TILES[0].name}.tif", image[:1].astype("uint8"), tile, ["label"], BACKGROUND, {})
    count_pixels(tmp_path, rows)
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert [decode_png(attrs["src"]).shape[:2] for attrs in page.elements["img"]] == [(200, 200)] * 3
    assert {int(value) for value in range(1, 9)} <= {int(row[0].split()[0]) for row in page.tables["classes"][1:-1]}
    assert page.tables["classes"][-1][1] == "360,000"


def test_choice_is_spread_over_splits_and_stable():
    rows = [
        LedgerRow(f"tile{n}", "train" if n < 90 else "val" if n < 97 else "test", 0, MADE, "", 1.0, 1)
        for n in range(100)
    ]
    rows += [LedgerRow("gone", "test", 0, FAILED, "", None, 1)]
    chosen = choose_tiles(rows, SPLITS, 24)
    splits = [next(row.split for row in rows if row.tile == tile) for tile in chosen]
    assert [splits.count(split) for split in SPLITS] == [14, 7, 3]
    assert splits == sorted(splits, key=SPLITS.index) and "gone" not in chosen
    assert choose_tiles(rows[::-1], SPLITS, 24) == chosen
