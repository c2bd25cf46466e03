"""The report's table of classes against NumPy over all label chips at once."""

import numpy as np

from segchips.config.labels import LabelLayer, LabelsConfig
from segchips.labels.legend import ClassLegend
from segchips.reports.class_table import class_colours
from segchips.tiles.assignment import MADE
from support.report_page import Page
from support.report_results import BACKGROUND, SPLITS, label_pixels, report_dataset, with_labels, write_page


def test_class_pixels_and_shares(page, results):
    _, rows = results
    cells_by_class = {row[0]: row[1:] for row in page.tables["classes"][1:]}
    names = {0: "0", 1: "1 <b>wheat</b>", 2: "2 rye & oats", 9: "9 never", BACKGROUND: f"{BACKGROUND} background"}
    for column, split in enumerate(SPLITS):
        numbers = [n for n, row in enumerate(rows) if row.state == MADE and row.split == split]
        every = np.concatenate([label_pixels(n).ravel() for n in numbers])
        for value, name in names.items():
            count = int((every == value).sum())
            cells = cells_by_class[name][2 * column : 2 * column + 2]
            assert cells == [f"{count:,}", f"{100 * count / every.size:.1f} %"]
        assert cells_by_class["all pixels"][2 * column] == f"{every.size:,}"
    assert list(cells_by_class) == [*names.values(), "all pixels"]
    assert page.html.count('class="n none">0</td>') == len(SPLITS)


def test_layers_without_attribute_name_their_class(results):
    folder, _ = results
    layers = (LabelLayer("data/water.gpkg", None, None, 1, None), LabelLayer("data/all.gpkg", "woods", None, 2, None))
    plain = report_dataset()
    write_page(folder, with_labels(plain, layers=layers), folder / "named.html")
    page = Page((folder / "named.html").read_text(encoding="utf-8"))
    assert [row[0] for row in page.tables["classes"][2:4]] == ["1 water", "2 woods"]


def test_classes_of_rasters_keep_their_colours():
    labels = LabelsConfig((LabelLayer("map.tif"),), background=0, unknown=254)
    legend = ClassLegend({10: "tree", 20: "water"}, {0: (9, 9, 9), 10: (1, 2, 3), 20: (4, 5, 6)})
    assert class_colours(labels, legend, [0, 10, 20, 254]) == {10: (1, 2, 3), 20: (4, 5, 6)}
    some = class_colours(labels, legend, [10, 30])
    assert list(some) == [10, 30] and (1, 2, 3) not in some.values(), "one palette for all"
