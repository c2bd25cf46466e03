"""The report as a page: counts and reasons of tiles, audit, escaping, secrets and reproducible bytes."""

import itertools
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import shapely
import yaml

from segchips.config.loading import load_config
from segchips.errors import InputError
from segchips.grids.tile import Tile
from segchips.reports.ledger import FAILED, NO_SCENES, STATES, write_ledger
from segchips.tiles.assignment import DROPPED, MADE, TOO_FEW_VALID
from support.report_page import Page, parse_number
from support.report_results import (
    SPLITS,
    TILES,
    build_results,
    ledger_rows,
    report_dataset,
    with_imagery,
    with_labels,
    write_page,
)


def test_page_has_no_external_files_or_scripts(page):
    assert "script" not in page.elements and "link" not in page.elements and "iframe" not in page.elements
    addresses = [
        value
        for elements in page.elements.values()
        for attrs in elements
        for key, value in attrs.items()
        if key in ("src", "href")
    ]
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "@import" not in page.html
    assert set(re.findall(r"url\(([^)]*)\)", page.html)) <= {f"#{key['id']}" for key in page.elements["pattern"]}


def test_elements_close_and_ids_are_unique(page):
    assert page.open_tags == []
    ids = [attrs["id"] for elements in page.elements.values() for attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_state_is_counted_by_split(page, results):
    _, rows = results
    head, *body = page.tables["states"]
    assert head == ["State", *SPLITS, "all"]
    rows_by_state = {row[0]: [int(cell) for cell in row[1:]] for row in body}
    for state in STATES[:-1]:
        counts = [sum(row.state == state and row.split == split for row in rows) for split in SPLITS]
        assert sum(counts) and rows_by_state[state] == [*counts, sum(counts)]
    assert rows_by_state["all tiles"] == [*(sum(row.split == split for row in rows) for split in SPLITS), len(rows)]
    assert rows_by_state["records"] == rows_by_state[MADE]
    assert page.texts["summary"].startswith(f"{len(rows)} tiles: {rows_by_state[MADE][-1]} made")


def test_reasons_are_grouped_and_tiles_left_out_listed(page, results):
    _, rows = results
    reasons = page.tables["reasons"][1:]
    assert [row[0] for row in reasons] == [state for state in STATES[:-1] if state != MADE]
    assert [int(row[2]) for row in reasons] == [sum(r.state == row[0] for r in rows) for row in reasons]
    assert "… of the pixels are valid, min_valid is 0.5" in [row[1] for row in reasons]
    listed_tiles = page.tables["left-out"][1:]
    assert {row[0] for row in listed_tiles} == {row.tile for row in rows if row.state not in (MADE, DROPPED)}
    below = next(row for row in rows if row.state == TOO_FEW_VALID)
    assert [below.tile, below.split, below.state, below.reason] in listed_tiles


def test_long_lists_are_cut_and_say_how_many_more(tmp_path):
    rows = [replace(row, state=FAILED, reason=f"reason {n}") for n, row in enumerate(ledger_rows())] * 4
    rows = [replace(row, reason=f"{row.reason} {n}") for n, row in enumerate(rows)]
    build_results(tmp_path, rows[:20])
    write_ledger(tmp_path / "ledger.csv", rows)
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    for table in ("reasons", "left-out"):
        assert len(page.tables[table]) == 1 + 50 + 1
        assert page.tables[table][-1] == ["and 30 more in ledger.csv"]


def test_text_is_escaped(page):
    assert "<b>wheat" not in page.html and "1 <b>wheat</b>" in page.all
    assert "<i>one" not in page.html and "<i>one</i>" in page.all
    assert "two&amp;2" in page.html and "two&2" in page.all
    assert "<script" not in page.html and "<script>alert(1)</script>" in page.all


def test_no_secret_and_no_absolute_folder(results, tmp_path):
    folder, _ = results
    plain, hidden = report_dataset(), tmp_path / "my files"
    hidden.mkdir()
    shutil.copy(folder / "aoi.gpkg", hidden)
    secret = replace(
        plain,
        tiles=replace(plain.tiles, aoi=str(hidden / "aoi.gpkg")),
        imagery=with_imagery(plain, catalog="https://me:pw@stac.org/v1/catalog.json?token=SECRET#part").imagery,
        labels=with_labels(plain, layers=(replace(plain.labels.layers[0], path="file:///home/me/crops.gpkg"),)).labels,
    )
    write_page(folder, secret, folder / "secret.html")
    html = (folder / "secret.html").read_text(encoding="utf-8")
    for leak in ("SECRET", "token", "me:pw", "/home", "my files", "/secret", str(folder), str(tmp_path)):
        assert leak not in html
    for kept in ("https://stac.org/v1/catalog.json", "…/aoi.gpkg", "…/crops.gpkg", "https://host.org/a.tif", "…/b.tif"):
        assert kept in html


def test_config_can_be_used_again(page):
    shown = yaml.safe_load(page.texts["config"])
    assert load_config(shown).datasets == {"cropland": report_dataset()}


def test_versions(page):
    assert (
        f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}, NumPy {np.__version__}"
        in page.texts["versions"]
    )


def pairs_of_splits(rows):
    """Least distance, pairs that overlap and pixels they share of each pair of splits, chip by chip."""
    totals = {}
    made = [(row.split, shapely.box(*Tile.from_key(row.tile).bounds)) for row in rows if row.state == MADE]
    for (one, here), (other, there) in itertools.combinations(made, 2):
        if one != other:
            entry = totals.setdefault(" and ".join(sorted((one, other))), [math.inf, 0, 0])
            shared = here.intersection(there).area / 100
            entry[:] = min(entry[0], here.distance(there)), entry[1] + (shared > 0), entry[2] + shared
    return {pair: [round(figure, 1) for figure in figures] for pair, figures in totals.items()}


def test_audit_is_shown(page, results):
    expected = pairs_of_splits(results[1])
    assert {row[0]: [parse_number(cell) for cell in row[1:]] for row in page.tables["audit"][1:]} == expected
    pairs = sum(figures[1] for figures in expected.values())
    assert pairs and f"as the config allows. {pairs} pairs" in page.texts["verdict"] and "shared" not in page.tables


def test_failed_audit_is_shown_with_its_tiles(tmp_path):
    strict = replace(report_dataset().splitting, allow_overlap=False)
    rows = build_results(tmp_path, splitting=strict)
    write_page(tmp_path, replace(report_dataset(), splitting=strict), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert page.texts["verdict"].startswith("Failed.")
    splits = {row.tile: row.split for row in rows}
    boxes = {tile.key: shapely.box(*tile.bounds) for tile in TILES}
    listed_pairs = page.tables["shared"][1:]
    assert len(listed_pairs) == sum(figures[1] for figures in pairs_of_splits(rows).values()) <= 10
    for first, split, second, second_split, shared in listed_pairs:
        assert (split, second_split) == (splits[first], splits[second]) and split != second_split
        assert parse_number(shared) == boxes[first].intersection(boxes[second]).area / 100


def test_an_invalid_audit_is_named(tmp_path):
    build_results(tmp_path)
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(InputError, match=r"audit.json: not an audit"):
        write_page(tmp_path, report_dataset(), tmp_path / "index.html")


def test_tiles_of_no_split_are_named_so(tmp_path):
    rows = [replace(row, split="" if row.state == DROPPED else row.split) for row in ledger_rows()]
    build_results(tmp_path, rows)
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert page.tables["states"][0] == ["State", *SPLITS, "none", "all"]
    assert "no split" in page.figure("map") and 'fill="#969696" fill-opacity=".16"' in page.figure("map")


def test_a_dataset_without_chips(tmp_path):
    build_results(tmp_path, [replace(row, state=NO_SCENES, reason="none", valid=None) for row in ledger_rows()])
    write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "No chip was made." in page.all and "img" not in page.elements
    assert page.texts["summary"] == "20 tiles: 20 no scenes"
    assert page.texts["verdict"].startswith("Nothing to compare.")


def test_same_bytes_in_any_folder_at_any_time(results, tmp_path):
    folder, _ = results
    shutil.copytree(folder, tmp_path / "elsewhere")
    for place, output in ((folder, tmp_path / "a.html"), (tmp_path / "elsewhere", tmp_path / "b" / "c.html")):
        write_page(place, report_dataset(), output)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b" / "c.html").read_bytes()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["c.html"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_damaged_or_missing_chip_is_named(tmp_path, kind):
    rows = build_results(tmp_path)
    name = f"{next(row.tile for row in rows if row.state == MADE).replace(':', '#')}.tif"
    chip = tmp_path / kind / name
    content = chip.read_bytes()
    for damage in (lambda: chip.write_bytes(content[: len(content) // 3]), chip.unlink):
        damage()
        with pytest.raises(InputError, match=re.escape(str(chip))):
            write_page(tmp_path, report_dataset(), tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()
