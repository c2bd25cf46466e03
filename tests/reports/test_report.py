"""report.py: the page is parsed, its pictures decoded, its figures compared with NumPy over all chips at once."""

import base64
import contextlib
import io
import itertools
import json
import math
import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import yaml
from PIL import Image

from segchips.chips.chip_file import write_chip
from segchips.config.loading import SCHEMA, load_config
from segchips.config.model import (
    CloudMask,
    Dataset,
    ImageryConfig,
    LabelLayer,
    LabelsConfig,
    Product,
    Range,
    SelectConfig,
    SplittingConfig,
    TFRecordsConfig,
    TilesConfig,
)
from segchips.errors import InputError
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Grid, Tile
from segchips.records.dataset_files import write_description
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.file_names import index_name
from segchips.records.pixel_counts import PixelCounts
from segchips.records.shard_index import IndexEntry, write_index
from segchips.records.statistics import write_statistics
from segchips.reports.audit import write_audit
from segchips.reports.contact_sheet import choose_tiles, display_bands
from segchips.reports.histograms import bin_edges, share_per_bin
from segchips.reports.ledger import FAILED, NO_SCENES, STATES, UNFINISHED, LedgerRow, write_ledger
from segchips.reports.report import write_report
from segchips.reports.timelines import day_ticks
from segchips.scenes.lock import write_lock
from segchips.scenes.model import Scene
from segchips.scenes.pinning import SceneLock
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, TOO_FEW_VALID
from segchips.vectors.geoparquet import write_geoparquet
from support.assignments import write_dataset_manifest
from support.vectors import write_vectors

SPLITS = ("train", "val", "test")
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
BANDS = ("B04", "B08", "B03", "B02")
GRID = Grid(16, 2, 10.0)
TILES = [Tile(GRID, 33, path, 8465 - row) for row in range(4) for path in range(-60, -55)]
SCALE = [(0.0001, 0.0), (0.0001, 0.0), (0.0001, -0.1), (0.0001, 0.0)]
CLASSES = {"<b>wheat</b>": 1, "rye & oats": 2, "none": None, "never": 9}
BACKGROUND = 255


def scene(product, name, day, cloud):
    return Scene(product, name, datetime(2017, 6, day, 10, 30, tzinfo=UTC), cloud, {}, b"")


# Every fourth scene lies twice on one day; ids hold markup.
SCENES = (
    scene("mask", "m1", 1, None),
    scene("s2", "<i>one</i>", 1, 0.05),
    scene("s2", "two&2", 11, 0.25),
    scene("s2", "three", 11, None),
    scene("s2", "four", 21, 0.0),
)


def state_of(number):
    return STATES[number % 11 - 4] if number % 11 > 4 else MADE


REASONS = {
    MADE: "",
    NO_SCENES: "no scene of s2 within the dates and the cloud limit",
    TOO_FEW_VALID: "{} of the pixels are valid, min_valid is 0.5",
    FAILED: "<script>alert(1)</script> https://me:pw@host.org/a.tif?sig=SECRET: cut short, see /secret/folder/b.tif",
    UNFINISHED: "not sharded yet; run again",
    EXCLUDED: "EarthOne: reading scene 'a' of product 's2': not there (404)",
    DROPPED: "guard: it shares ground with split val",
}


def ledger_rows():
    rows = []
    for number, tile in enumerate(TILES):
        state = state_of(number)
        valid = 0.01 * number if state in (MADE, TOO_FEW_VALID) else None
        rows.append(LedgerRow(tile.key, SPLITS[number % 3], 0, state, REASONS[state].format(valid), valid, 3))
    return rows


def dataset():
    mask = CloudMask(None, "mask", "scl", (4, 5), None)
    return Dataset(
        "cropland",
        TilesConfig(16, 2, 10.0, "aoi.gpkg", None, None),
        ImageryConfig(
            source="stac",
            catalog="catalog.json",
            sign=None,
            products=(Product("s2", BANDS, "nearest", None, None),),
            start=date(2017, 6, 1),
            end=date(2017, 6, 30),
            max_cloud=0.4,
            composite="closest",
            reference_date=date(2017, 6, 15),
            cloud_mask=mask,
            min_valid=0.5,
            provenance=False,
        ),
        LabelsConfig((LabelLayer("crops.gpkg", None, "kind", 1, CLASSES),), BACKGROUND, True),
        TFRecordsConfig("array", 1, None, SHARES),
        SplittingConfig(SHARES, "tile", 960.0, 0, True, False, 0, None, None, "split"),
        SelectConfig(Range(), {}, None),
    )


def pixels(number, dtype="uint16", count=4):
    rng = np.random.default_rng(number)
    image = rng.integers(1, 4000, (count, 16, 16)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        image = 1e6 + image / 1e4
        image[0, 3] = np.nan
        image[1, 4] = np.inf
        image = image.astype(dtype)
    image[:, :5, : number % 16] = 0
    image[number % count, 9] = 0
    return image


def label(number):
    return np.random.default_rng(100 + number).choice([0, 1, 2, 2, BACKGROUND], (1, 16, 16)).astype("uint8")


def used(number):
    return [scene.id for scene in SCENES[1:4] if (number + len(scene.id)) % 3]


def listed(number):
    return [index for index in range(len(SCENES)) if (number + index) % 4]


def claimed(number):
    return (0, 1, 2, 5, 40, 256)[number % 6]


def write_conflicts(folder, tiles):
    columns = {"key": [tile.key for tile in tiles], "label": [""] * len(tiles)}
    pixels = [claimed(number) for number in range(len(tiles))]
    write_geoparquet(folder / "conflicts.parquet", columns | {"pixels": pixels}, core_outlines(tiles))


def area():
    """Two polygons side by side, in UTM, whose outline runs through the tiles."""
    bounds = np.array([tile.core_bounds for tile in TILES])
    (west, south), (east, north) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    middle = (west + east) / 2 + 7
    return [shapely.box(west + 31, south + 40, middle, north - 35), shapely.box(middle, south + 40, east - 44, north)]


def build(folder, rows=None, dtype="uint16", bands=BANDS, nodata=0, splitting=None):
    """Results as the steps before the report leave them."""
    rows = ledger_rows() if rows is None else rows
    write_vectors(folder / "aoi.gpkg", area(), "EPSG:32633")
    write_conflicts(folder, TILES)
    write_dataset_manifest(folder / "tiles.parquet", TILES, dataset())
    tiles = {tile.key: tuple(listed(number)) for number, tile in enumerate(TILES)}
    write_lock(folder / "scenes.parquet", SceneLock("{}", SCENES, tiles))
    write_ledger(folder / "ledger.csv", rows)
    for number, (tile, row) in enumerate(zip(TILES, rows, strict=True)):
        if row.state in (MADE, TOO_FEW_VALID):
            tags = {"SCENES": json.dumps({"s2": [{"id": name} for name in used(number)]})}
            image = pixels(number, dtype, len(bands))
            write_chip(folder / "images" / f"{tile.name}.tif", image, tile, bands, nodata, tags, SCALE[: len(bands)])
            write_chip(folder / "labels" / f"{tile.name}.tif", label(number), tile, ["label"], BACKGROUND, {})
    made = {split: (sum(row.state == MADE and row.split == split for row in rows),) for split in SPLITS}
    image = ChipLayout(dtype, (16, 16, len(bands)), "GTiff", nodata, tuple(bands))
    info = DatasetInfo("cropland", "array", None, made, image, ChipLayout("uint8", (16, 16), "GTiff", BACKGROUND))
    write_description(folder / "tfrecords", info, dict.fromkeys(SPLITS, 0))
    write_indices(folder / "tfrecords", rows)
    count_pixels(folder, rows)
    plain = dataset()
    write_audit(replace(plain, splitting=splitting or plain.splitting), folder, folder / "audit.json", folder / "a.log")
    return rows


def write_indices(folder, rows):
    for split in SPLITS:
        scenes = [
            IndexEntry(row.tile, row.state, "", None, scenes=tuple(("s2", name) for name in used(number)))
            for number, row in enumerate(rows)
            if row.split == split and row.state in (MADE, TOO_FEW_VALID)
        ]
        write_index(folder / index_name("cropland", split, 0, 1), scenes)


def write(folder, dataset, output):
    """Write the report where the config's relative paths hold."""
    with contextlib.chdir(folder):
        write_report(dataset, folder, output)


def count_pixels(folder, rows):
    """What the shards' writer counts."""
    for split in SPLITS:
        tally = None
        for row in (row for row in rows if row.state == MADE and row.split == split):
            name = f"{row.tile.replace(':', '#')}.tif"
            with rasterio.open(folder / "images" / name) as image, rasterio.open(folder / "labels" / name) as chip:
                tally = tally or PixelCounts(image.dtypes[0], image.count, image.nodata)
                tally.add(image.read().transpose(1, 2, 0), chip.read().transpose(1, 2, 0))
        (tally or PixelCounts("uint8", 0, None)).save(tallies(folder, split))
    write_statistics(folder / "tfrecords", {split: [tallies(folder, split)] for split in SPLITS})


def tallies(folder, split):
    return folder / "tfrecords" / f"cropland-{split}.statistics-00000-of-00001.npz"


class Page(HTMLParser):
    """Tables by id (rows of cell texts), attributes of every element by tag, texts by element id, all text."""

    def __init__(self, html):
        super().__init__()
        self.html, self.tables, self.elements, self.texts, self.all = html, {}, {}, {}, ""
        self._table, self._inside, self._titles = None, [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.setdefault(tag, []).append(found)
        if tag == "table":
            self._table = self.tables.setdefault(found.get("id"), [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        if tag not in ("meta", "br", "img"):
            self._inside.append((tag, found.get("id")))

    def handle_endtag(self, tag):
        if tag not in ("meta", "br", "img"):
            assert self._inside.pop()[0] == tag

    def handle_data(self, data):
        self.all += data
        tags = [tag for tag, _ in self._inside]
        if ("td" in tags or "th" in tags) and "title" not in tags:
            self._table[-1][-1] += data
        for _, key in self._inside:
            self.texts[key] = self.texts.get(key, "") + data

    def figure(self, key):
        return self.html[self.html.index(f'<figure class="whole" id="{key}"') :].partition("</figure>")[0]

    def titles(self):
        return re.findall(r"<title>(.*?)</title>", self.html)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "cropland"
    folder.mkdir()
    rows = build(folder)
    return folder, rows


@pytest.fixture(scope="module")
def page(results):
    folder, _ = results
    write(folder, dataset(), folder / "report" / "index.html")
    return Page((folder / "report" / "index.html").read_text(encoding="utf-8"))


def number(text):
    return float(text.replace(",", "").removesuffix("%"))


def png(uri):
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_page_needs_nothing_but_itself(page):
    assert "script" not in page.elements and "link" not in page.elements and "iframe" not in page.elements
    addresses = [
        value
        for found in page.elements.values()
        for attrs in found
        for key, value in attrs.items()
        if key in ("src", "href")
    ]
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "@import" not in page.html
    assert set(re.findall(r"url\(([^)]*)\)", page.html)) <= {f"#{key['id']}" for key in page.elements["pattern"]}


def test_elements_close_and_ids_are_unique(page):
    assert page._inside == []
    ids = [attrs["id"] for found in page.elements.values() for attrs in found if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_state_is_counted_by_split(page, results):
    _, rows = results
    head, *body = page.tables["states"]
    assert head == ["State", *SPLITS, "all"]
    found = {row[0]: [int(cell) for cell in row[1:]] for row in body}
    for state in STATES[:-1]:
        counts = [sum(row.state == state and row.split == split for row in rows) for split in SPLITS]
        assert sum(counts) and found[state] == [*counts, sum(counts)]
    assert found["all tiles"] == [*(sum(row.split == split for row in rows) for split in SPLITS), len(rows)]
    assert found["records"] == found[MADE]
    assert page.texts["summary"].startswith(f"{len(rows)} tiles: {found[MADE][-1]} made")


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


def test_long_lists_end_with_how_many_more(tmp_path):
    rows = [replace(row, state=FAILED, reason=f"reason {n}") for n, row in enumerate(ledger_rows())] * 4
    rows = [replace(row, reason=f"{row.reason} {n}") for n, row in enumerate(rows)]
    build(tmp_path, rows[:20])
    write_ledger(tmp_path / "ledger.csv", rows)
    write(tmp_path, dataset(), tmp_path / "index.html")
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
    plain, hidden = dataset(), tmp_path / "my files"
    hidden.mkdir()
    shutil.copy(folder / "aoi.gpkg", hidden)
    secret = replace(
        plain,
        tiles=replace(plain.tiles, aoi=str(hidden / "aoi.gpkg")),
        imagery=replace(plain.imagery, catalog="https://me:pw@stac.org/v1/catalog.json?token=SECRET#part"),
        labels=replace(plain.labels, layers=(replace(plain.labels.layers[0], path="file:///home/me/crops.gpkg"),)),
    )
    write(folder, secret, folder / "secret.html")
    html = (folder / "secret.html").read_text(encoding="utf-8")
    for leak in ("SECRET", "token", "me:pw", "/home", "my files", "/secret", str(folder), str(tmp_path)):
        assert leak not in html
    for kept in ("https://stac.org/v1/catalog.json", "…/aoi.gpkg", "…/crops.gpkg", "https://host.org/a.tif", "…/b.tif"):
        assert kept in html


def test_config_can_be_used_again(page):
    shown = yaml.safe_load(page.texts["config"])
    assert load_config(shown, SCHEMA).datasets == {"cropland": dataset()}


def test_versions(page):
    assert (
        f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}, NumPy {np.__version__}"
        in page.texts["versions"]
    )


def test_band_statistics_are_those_of_all_chips_at_once(page, results):
    _, rows = results
    found, band = {}, ""
    for row in page.tables["bands"][1:]:
        band, cells = (row[0], row[1:]) if len(row) == 7 else (band, row)
        found[band.split("×")[0], cells[0]] = [number(cell) for cell in cells[1:]]
    for index, band in enumerate(BANDS):
        for split in SPLITS:
            numbers = [n for n, row in enumerate(rows) if row.state == MADE and row.split == split]
            every = np.concatenate([pixels(n)[index].ravel() for n in numbers]).astype(float)
            values = every[every != 0]
            expected = [100 * values.size / every.size, values.min(), values.max(), values.mean(), values.std()]
            assert found[band, split][0] == pytest.approx(expected[0], abs=0.05)
            assert found[band, split][1:3] == expected[1:3]
            assert found[band, split][3:] == pytest.approx(expected[3:], rel=1e-5)
    assert len(found) == len(BANDS) * len(SPLITS)
    assert "B03× 0.0001 -0.1" in [row[0] for row in page.tables["bands"]]


def test_a_band_without_valid_pixel_says_so(tmp_path):
    rows = build(tmp_path)
    for row in rows:
        if row.state == MADE and row.split == "val":
            with rasterio.open(tmp_path / "images" / f"{row.tile.replace(':', '#')}.tif", "r+") as chip:
                chip.write(np.zeros((16, 16), "uint16"), 2)
    count_pixels(tmp_path, rows)
    write(tmp_path, dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert ["val", "0.0 %", "no valid pixel"] in page.tables["bands"]


def test_class_pixels_and_shares(page, results):
    _, rows = results
    found = {row[0]: row[1:] for row in page.tables["classes"][1:]}
    names = {0: "0", 1: "1 <b>wheat</b>", 2: "2 rye & oats", 9: "9 never", BACKGROUND: f"{BACKGROUND} background"}
    for column, split in enumerate(SPLITS):
        numbers = [n for n, row in enumerate(rows) if row.state == MADE and row.split == split]
        every = np.concatenate([label(n).ravel() for n in numbers])
        for value, name in names.items():
            count = int((every == value).sum())
            cells = found[name][2 * column : 2 * column + 2]
            assert cells == [f"{count:,}", f"{100 * count / every.size:.1f} %"]
        assert found["all pixels"][2 * column] == f"{every.size:,}"
    assert list(found) == [*names.values(), "all pixels"]
    assert page.html.count('class="n none">0</td>') == len(SPLITS)


def test_scenes_with_tiles_and_chips(page, results):
    _, rows = results
    found = page.tables["scenes"][1:]
    assert [row[0] for row in found] == ["<i>one</i>", "three", "two&2", "four", "m1"]
    for row in found:
        index = next(i for i, scene in enumerate(SCENES) if scene.id == row[0])
        tiles = sum(index in listed(n) for n in range(len(TILES)))
        chips = sum(row[0] in used(n) for n in range(len(TILES)) if rows[n].state == MADE)
        cloud = SCENES[index].cloud
        assert row[1:4] == [
            SCENES[index].product,
            f"2017-06-{SCENES[index].acquired.day:02d} 10:30",
            "–" if cloud is None else f"{100 * cloud:.1f} %",
        ]
        assert row[4:6] == [str(tiles), "mask" if index == 0 else str(chips)]


def test_timeline_counts_each_tile_of_a_day_once(page, results):
    _, rows = results
    tiles = sum(2 in listed(n) or 3 in listed(n) for n in range(len(TILES)))
    chips = sum(bool({"two&2", "three"} & set(used(n))) for n in range(len(TILES)) if rows[n].state == MADE)
    assert f"2017-06-11: {tiles} tiles list a scene, {chips} chips use one" in page.titles()
    assert sum("tiles list a scene" in title for title in page.titles()) == 3
    assert "three: " not in " ".join(page.titles())


def test_map_has_every_tile_with_its_state_where_it_lies(page, results):
    _, rows = results
    found = dict(re.findall(r'<path d="(M[^"]+Z)"><title>([^<]*)</title>', page.figure("map")))
    titles = {title: path for path, title in found.items()}
    assert set(titles) == {f"{row.tile}, {row.split}: {row.state}" for row in rows}
    to_lonlat = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    lonlat, drawn = [], []
    for row, tile in zip(rows, TILES, strict=True):
        west, south, east, north = tile.core_bounds
        lonlat.append(to_lonlat.transform((west + east) / 2, (south + north) / 2))
        corners = [
            tuple(map(float, corner.split()))
            for corner in re.split("[ML]", titles[f"{row.tile}, {row.split}: {row.state}"][:-1])[1:]
        ]
        assert len(corners) == 4
        drawn.append(np.mean(corners, axis=0))
    (lon, lat), (x, y) = np.array(lonlat).T, np.array(drawn).T
    across, up = np.polyfit(lon, x, 1), np.polyfit(lat, y, 1)
    assert np.abs(np.polyval(across, lon) - x).max() < 0.05 and np.abs(np.polyval(up, lat) - y).max() < 0.05
    assert across[0] > 0 > up[0]
    assert across[0] / -up[0] == pytest.approx(math.cos(math.radians(lat.mean())), rel=1e-3)


def test_map_frame_and_scale_bar_fit_the_tiles(page):
    paths = re.findall(r'<path d="M([^"]+)Z"><title>', page.figure("map"))
    corners = np.array([tuple(map(float, corner.split())) for path in paths for corner in path.split("L")])
    figure = page.figure("map")
    width, height = map(float, re.search(r'<rect width="([\d.]+)" height="([\d.]+)" fill="#fbfbfb"', figure).groups())
    (west, north), (east, south) = corners.min(axis=0), corners.max(axis=0)
    assert 0 < west == pytest.approx(width - east, abs=0.05)
    assert 0 < north == pytest.approx(height - south, abs=0.05)
    bar, label_ = re.search(r'<path d="M0 -4V0H([\d.]+)V-4".*?>([\d.]+) m</text>', figure).groups()
    ground = GRID.core * 4 / (south - north) * float(bar)
    assert ground == pytest.approx(float(label_), rel=0.02)


def test_map_holds_together_at_the_antimeridian(tmp_path):
    rows = ledger_rows()[:2]
    tiles = [Tile(Grid(1024, 0, 10.0), 1, -33, 0), Tile(Grid(1024, 0, 10.0), 60, 32, 0)]
    build(tmp_path, rows + ledger_rows()[2:])
    write_dataset_manifest(tmp_path / "tiles.parquet", tiles, dataset())
    write_conflicts(tmp_path, tiles)
    write_ledger(
        tmp_path / "ledger.csv",
        [replace(row, tile=tile.key, state=NO_SCENES) for row, tile in zip(rows, tiles, strict=True)],
    )
    write(tmp_path, dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    paths = re.findall(r'<path d="(M[^"]+Z)"><title>', page.figure("map"))
    corners = np.array([tuple(map(float, pair)) for path in paths for pair in re.findall(r"([\d.-]+) ([\d.-]+)", path)])
    assert len(paths) == 2 and np.ptp(corners[:, 0]) > 300
    assert np.ptp(corners[:, 0]) / np.ptp(corners[:, 1]) < 3


def corners(path):
    """The points of each line of an SVG path."""
    lines = [line.removesuffix("Z").split("L") for line in path.split("M")[1:]]
    return [np.array([tuple(map(float, corner.split())) for corner in line]) for line in lines]


def on_map(page):
    """From UTM to pixels of the map, fitted to the corners of the tiles."""
    drawn = dict(re.findall(r'<path d="(M[^"]+Z)"><title>([^:]*:[^,]*)', page.figure("map")))
    drawn = {key: corners(path)[0].mean(axis=0) for path, key in drawn.items()}
    ground = np.array([(*np.reshape(tile.core_bounds, (2, 2)).mean(axis=0), 1) for tile in TILES])
    to_map, *_ = np.linalg.lstsq(ground, np.array([drawn[tile.key] for tile in TILES]), rcond=None)
    return lambda geometry: shapely.transform(geometry, lambda at: np.column_stack([at, np.ones(len(at))]) @ to_map)


def test_outline_is_that_of_the_area_as_a_whole(page):
    (path,) = set(re.findall(r'<path class="area" d="([^"]+)"', page.html))
    assert page.html.count(path) == 2
    drawn = shapely.union_all([shapely.linestrings(line) for line in corners(path)])
    wanted = on_map(page)(shapely.union_all(area())).boundary
    assert drawn.hausdorff_distance(wanted) < 1
    assert drawn.length == pytest.approx(wanted.length, rel=0.01)


def test_conflicts_are_counted_and_mapped(page):
    counts = {tile.key: claimed(number) for number, tile in enumerate(TILES)}
    held = {key: count for key, count in counts.items() if count}
    assert page.texts["conflicts"].startswith(f"{sum(held.values())} pixels of {len(held)} tiles")
    head, *body = page.tables["claimed"]
    assert [(row[0], int(row[1])) for row in body[:-1]] == sorted(held.items(), key=lambda one: -one[1])[:10]
    assert body[0][2] == "100.0 %" and body[-1] == [f"and {len(held) - 10} more in conflicts.parquet"]
    figure = page.figure("conflict-map")
    legend = re.findall(r'fill="(#\w{6})"[^>]*/></svg>([^<]*)</li>', figure)
    assert [text for _, text in legend[:-1]] == ["none", "up to 1.0 %", "above 1.0 %", "above 5.0 %"]
    colours = [colour for colour, _ in legend]
    found = {}
    for colour, group in re.findall(r'<g fill="(#\w{6})" stroke="#fff"[^>]*>(.*?)</g>', figure, re.DOTALL):
        found |= dict.fromkeys(re.findall(r"<title>([^ ]*): ", group), colours.index(colour))
    share = {key: count / 256 for key, count in held.items()}
    assert found == {key: 1 + (part > 0.01) + (part > 0.05) + (part > 0.2) for key, part in share.items()}


def pairs_of_splits(rows):
    """Least distance, pairs that overlap and pixels they share of each two splits, pair by pair."""
    found = {}
    made = [(row.split, shapely.box(*Tile.from_key(row.tile).bounds)) for row in rows if row.state == MADE]
    for (one, here), (other, there) in itertools.combinations(made, 2):
        if one != other:
            entry = found.setdefault(" and ".join(sorted((one, other))), [math.inf, 0, 0])
            shared = here.intersection(there).area / 100
            entry[:] = min(entry[0], here.distance(there)), entry[1] + (shared > 0), entry[2] + shared
    return {pair: [round(figure, 1) for figure in figures] for pair, figures in found.items()}


def test_audit_is_shown(page, results):
    wanted = pairs_of_splits(results[1])
    assert {row[0]: [number(cell) for cell in row[1:]] for row in page.tables["audit"][1:]} == wanted
    pairs = sum(figures[1] for figures in wanted.values())
    assert pairs and f"as the config allows. {pairs} pairs" in page.texts["verdict"] and "shared" not in page.tables


def test_failed_audit_is_shown_with_its_tiles(tmp_path):
    strict = replace(dataset().splitting, allow_overlap=False)
    rows = build(tmp_path, splitting=strict)
    write(tmp_path, replace(dataset(), splitting=strict), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert page.texts["verdict"].startswith("Failed.")
    splits = {row.tile: row.split for row in rows}
    boxes = {tile.key: shapely.box(*tile.bounds) for tile in TILES}
    listed_pairs = page.tables["shared"][1:]
    assert len(listed_pairs) == sum(figures[1] for figures in pairs_of_splits(rows).values()) <= 10
    for one, split, other, of_other, pixels_ in listed_pairs:
        assert (split, of_other) == (splits[one], splits[other]) and split != of_other
        assert number(pixels_) == boxes[one].intersection(boxes[other]).area / 100


def test_audit_that_is_missing_is_named(tmp_path):
    build(tmp_path)
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(InputError, match=r"audit.json: not an audit"):
        write(tmp_path, dataset(), tmp_path / "index.html")


def test_band_histograms_are_those_of_all_chips_at_once(page, results):
    _, rows = results
    panels = re.findall(
        r'aria-label="Histogram of (\w+)">(.*?)</svg>\s*<span class="ends">(.*?)</div>', page.html, re.S
    )
    assert [name for name, _, _ in panels] == list(BANDS)
    for band, (_, drawing, ends) in enumerate(panels):
        low, high = (number(text) for text in re.findall(r"<span>([\d.,]+)</span>", ends))
        heights = [np.array(re.findall(r"V([\d.]+)H", path), float) for path in re.findall(r' d="([^"]+)"', drawing)]
        shares = []
        for split in SPLITS:
            numbers = [n for n, row in enumerate(rows) if row.state == MADE and row.split == split]
            every = np.concatenate([pixels(n)[band].ravel() for n in numbers])
            values = every[every != 0]
            edges = np.linspace(low - 0.5, high + 0.5, len(heights[0]) + 1)
            shares.append(np.histogram(values, edges)[0] / values.size)
            assert low <= np.percentile(values, 1) and np.percentile(values, 99) <= high
        wanted = 100 - 96 * np.array(shares) / np.max(shares)
        np.testing.assert_allclose(heights, wanted, atol=0.06)


def test_histogram_of_floats():
    values = np.random.default_rng(3).normal(280, 8, 40_000).astype("float32")
    tally = PixelCounts("float32", 1, None)
    tally.add(values.reshape(200, 200, 1), np.zeros((200, 200), "uint8"))
    edges = bin_edges(*np.percentile(values, (1, 99)), values.dtype)
    shares = share_per_bin(*tally.of_all_classes().histogram(None, 0), values.dtype, edges)
    np.testing.assert_allclose(shares, np.histogram(values, edges)[0] / values.size, atol=0.006)


@pytest.mark.parametrize(("low", "high", "count"), [(3, 3, 1), (0, 1, 2), (1, 48, 48), (1, 49, 25), (0, 9999, 48)])
def test_bins_of_integers_hold_equally_many(low, high, count):
    edges = bin_edges(low, high, np.dtype("uint16"))
    assert len(edges) - 1 == count and (np.diff(edges) == edges[1] - edges[0]).all()
    assert edges[0] == low - 0.5 and edges[-1] >= high + 0.5 and (edges[1] - edges[0]) % 1 == 0


def test_unknown_labels_are_told_apart(tmp_path):
    build(tmp_path)
    plain = dataset()
    known = replace(plain, labels=replace(plain.labels, unknown=2, layers=()))
    write(tmp_path, known, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    names = [row[0] for row in page.tables["classes"][1:]]
    assert names == ["0", "1", f"{BACKGROUND} background", "2 unknown", "all pixels"]
    rows = ledger_rows()
    for n, _, picture, _ in shown_chips(page, rows):
        unseen = (pixels(n) == 0).any(axis=0) | (label(n)[0] == 2)
        assert np.array_equal((picture == (96, 96, 96)).all(axis=2), unseen)


def test_tiles_of_no_split_are_named_so(tmp_path):
    rows = [replace(row, split="" if row.state == DROPPED else row.split) for row in ledger_rows()]
    build(tmp_path, rows)
    write(tmp_path, dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert page.tables["states"][0] == ["State", *SPLITS, "none", "all"]
    assert "no split" in page.figure("map") and 'fill="#969696" fill-opacity=".16"' in page.figure("map")


def shown_chips(page, rows):
    """Tile number and the three decoded pictures of each card."""
    pictures = {attrs["alt"]: png(attrs["src"]) for attrs in page.elements["img"]}
    numbers = [n for n, row in enumerate(rows) if row.state == MADE]
    return [(n, *(pictures[f"{kind} of {rows[n].tile}"] for kind in ("image", "label", "overlay"))) for n in numbers]


def test_images_are_stretched_alike_and_clear_without_data(page, results):
    _, rows = results
    cards = shown_chips(page, rows)
    assert len(page.elements["img"]) == 3 * len(cards)
    true_colour = [0, 2, 3]
    valid = {n: (pixels(n)[true_colour] != 0).all(axis=0) for n, *_ in cards}
    together = np.concatenate([pixels(n)[true_colour][:, valid[n]] for n in valid], axis=1).astype(float)
    low, high = np.percentile(together, 2, axis=1), np.percentile(together, 98, axis=1)
    for n, image, _, _ in cards:
        assert np.array_equal(image[..., 3], np.where(valid[n], 255, 0))
        expected = np.clip((pixels(n)[true_colour].transpose(1, 2, 0) - low) / (high - low), 0, 1) * 255
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
        for value in np.unique(label(n)):
            assert {bytes(pixel) for pixel in picture[label(n)[0] == value]} == {legend[int(value)]}


def test_overlay_leaves_background_and_tints_classes(tmp_path):
    rows = build(tmp_path)
    square = np.full((1, 16, 16), BACKGROUND, "uint8")
    square[0, 6:12, 6:12] = 2
    for row in rows:
        if row.state == MADE:
            with rasterio.open(tmp_path / "labels" / f"{row.tile.replace(':', '#')}.tif", "r+") as chip:
                chip.write(square)
    write(tmp_path, dataset(), tmp_path / "index.html")
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
def test_true_colour_where_names_tell_it(names, expected):
    assert display_bands(names) == expected


def test_grey_float_chips_with_nan(tmp_path):
    rows = build(tmp_path, dtype="float32", bands=("vv", "vh"), nodata=math.nan)
    write(tmp_path, dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "Band vv in grey" in page.all
    for n, image, _, _ in shown_chips(page, rows):
        assert np.array_equal(image[..., 3] > 0, np.isfinite(pixels(n, "float32", 2)[0]))
        assert np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])


def test_large_chips_are_thinned_out(tmp_path):
    rows = [replace(row, state=MADE if n == 0 else UNFINISHED) for n, row in enumerate(ledger_rows())]
    build(tmp_path, rows)
    tile = Tile(Grid(600, 0, 10.0), 33, 0, 0)
    image = np.random.default_rng(0).integers(1, 9, (len(BANDS), 600, 600)).astype("uint16")
    write_chip(tmp_path / "images" / f"{TILES[0].name}.tif", image, tile, BANDS, 0, {})
    write_chip(tmp_path / "labels" / f"{TILES[0].name}.tif", image[:1].astype("uint8"), tile, ["label"], BACKGROUND, {})
    count_pixels(tmp_path, rows)
    write(tmp_path, dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert [png(attrs["src"]).shape[:2] for attrs in page.elements["img"]] == [(200, 200)] * 3
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


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((2017, 6, 1), (2017, 6, 1)),
        ((2017, 6, 28), (2017, 8, 3)),
        ((2016, 12, 1), (2017, 2, 28)),
        ((2015, 3, 4), (2024, 1, 1)),
        ((1984, 1, 1), (2024, 12, 31)),
    ],
)
def test_day_ticks_are_few_ordered_and_inside(start, end):
    days = [day for day, _ in day_ticks(date(*start), date(*end))]
    assert 1 <= len(days) <= 9 and days == sorted(set(days))
    assert date(*start) <= days[0] and days[-1] <= date(*end)


def test_layers_without_attribute_lend_their_names(results):
    folder, _ = results
    layers = (LabelLayer("data/water.gpkg", None, None, 1, None), LabelLayer("data/all.gpkg", "woods", None, 2, None))
    plain = dataset()
    write(folder, replace(plain, labels=replace(plain.labels, layers=layers)), folder / "named.html")
    page = Page((folder / "named.html").read_text(encoding="utf-8"))
    assert [row[0] for row in page.tables["classes"][2:4]] == ["1 water", "2 woods"]


def test_nothing_made(tmp_path):
    build(tmp_path, [replace(row, state=NO_SCENES, reason="none", valid=None) for row in ledger_rows()])
    write(tmp_path, dataset(), tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "No chip was made." in page.all and "img" not in page.elements
    assert page.texts["summary"] == "20 tiles: 20 no scenes"
    assert page.texts["verdict"].startswith("Nothing to compare.")


def test_same_bytes_wherever_and_whenever(results, tmp_path):
    folder, _ = results
    shutil.copytree(folder, tmp_path / "elsewhere")
    for place, output in ((folder, tmp_path / "a.html"), (tmp_path / "elsewhere", tmp_path / "b" / "c.html")):
        write(place, dataset(), output)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b" / "c.html").read_bytes()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["c.html"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_damaged_or_missing_chip_is_named(tmp_path, kind):
    rows = build(tmp_path)
    name = f"{next(row.tile for row in rows if row.state == MADE).replace(':', '#')}.tif"
    chip = tmp_path / kind / name
    content = chip.read_bytes()
    for damage in (lambda: chip.write_bytes(content[: len(content) // 3]), chip.unlink):
        damage()
        with pytest.raises(InputError, match=re.escape(str(chip))):
            write(tmp_path, dataset(), tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()
