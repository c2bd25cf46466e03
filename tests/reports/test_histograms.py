"""The report's histograms against NumPy over all image chips at once."""

import re

import numpy as np
import pytest

from segchips.records.pixel_counts import PixelCounts
from segchips.reports.histograms import bin_edges, share_per_bin
from segchips.tiles.assignment import MADE
from support.report_page import parse_number
from support.report_results import BANDS, SPLITS, image_pixels


def test_band_histograms_are_those_of_all_chips_at_once(page, results):
    _, rows = results
    panels = re.findall(
        r'aria-label="Histogram of (\w+)">(.*?)</svg>\s*<span class="ends">(.*?)</div>', page.html, re.S
    )
    assert [name for name, _, _ in panels] == list(BANDS)
    for band, (_, drawing, ends) in enumerate(panels):
        low, high = (parse_number(text) for text in re.findall(r"<span>([\d.,]+)</span>", ends))
        heights = [np.array(re.findall(r"V([\d.]+)H", path), float) for path in re.findall(r' d="([^"]+)"', drawing)]
        shares = []
        for split in SPLITS:
            numbers = [n for n, row in enumerate(rows) if row.state == MADE and row.split == split]
            every = np.concatenate([image_pixels(n)[band].ravel() for n in numbers])
            values = every[every != 0]
            edges = np.linspace(low - 0.5, high + 0.5, len(heights[0]) + 1)
            shares.append(np.histogram(values, edges)[0] / values.size)
            assert low <= np.percentile(values, 1) and np.percentile(values, 99) <= high
        expected = 100 - 96 * np.array(shares) / np.max(shares)
        np.testing.assert_allclose(heights, expected, atol=0.06)


def test_histogram_of_floats():
    values = np.random.default_rng(3).normal(280, 8, 40_000).astype("float32")
    counts = PixelCounts("float32", 1, None)
    counts.add(values.reshape(200, 200, 1), np.zeros((200, 200), "uint8"))
    edges = bin_edges(*np.percentile(values, (1, 99)), values.dtype)
    shares = share_per_bin(*counts.with_merged_classes().histogram(None, 0), values.dtype, edges)
    np.testing.assert_allclose(shares, np.histogram(values, edges)[0] / values.size, atol=0.006)


@pytest.mark.parametrize(("low", "high", "count"), [(3, 3, 1), (0, 1, 2), (1, 48, 48), (1, 49, 25), (0, 9999, 48)])
def test_bins_of_integers_hold_equally_many(low, high, count):
    edges = bin_edges(low, high, np.dtype("uint16"))
    assert len(edges) - 1 == count and (np.diff(edges) == edges[1] - edges[0]).all()
    assert edges[0] == low - 0.5 and edges[-1] >= high + 0.5 and (edges[1] - edges[0]) % 1 == 0
