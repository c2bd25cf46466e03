"""What a catalogue can get wrong costs a scene or a tile, which is named; never a wrong pixel, never a foreign file."""

import json
import os
import random

import numpy as np
import pytest
import rasterio
import shapely

from conftest import Files
from segchips.chips.images import make_image
from segchips.chips.open_rasters import GDAL_OPTIONS
from segchips.chips.raster_reader import RasterReader
from segchips.errors import InputError, SceneError, SegchipsError
from segchips.grids.outlines import footprints
from segchips.scenes.lock import read_lock, write_lock
from segchips.scenes.model import Band
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.scenes.stac_catalogue import StacCatalogue
from segchips.scenes.stac_client import open_catalog
from support.catalogues import make_asset, make_collection, make_item, make_link, write_catalogue, write_json
from support.datasets import image_plan, make_dataset, tile_at
from support.projects import Project
from support.rasters import OUTSIDE, nearest_by_loop, raster_outline, transform_over, write_raster

SEED = 20230630
TILE = tile_at()
DAY = "2017-07-01T10:00:00Z"
NODATA = 65535


def pixels(seed, dtype="uint16", shape=(24, 24)):
    """Noise with holes."""
    rng = np.random.default_rng(seed)
    data = rng.integers(1, 1000, shape).astype(dtype)
    data[rng.random(shape) < 0.2] = NODATA if dtype == "uint16" else 0
    return data


def scene_file(path, data=None, crs=None, nodata=NODATA, step=10, **profile):
    data = pixels(1) if data is None else data
    return write_raster(
        path, data, transform_over(TILE, data.shape[-2:], step, crs=crs), crs or TILE.crs, nodata=nodata, **profile
    )


def make(folder, items, catalog=None, **imagery):
    """The chip of the tile from these items: pixels (row, column) and the ids of the scenes it tells."""
    dataset = make_dataset(imagery={"catalog": str(catalog or write_catalogue(folder, items)), **imagery})
    outlines, catalogue = footprints([TILE]), StacCatalogue(dataset.imagery)
    scenes = catalogue.search(outlines)
    write_lock(folder / "scenes.parquet", pin_scenes(SceneQuery.of(dataset.imagery), scenes, [TILE.key], outlines))
    plan = image_plan(dataset, read_lock(folder / "scenes.parquet"))
    if not plan.tiles_with_chips():
        return None, [], catalogue.skipped_items
    make_image(plan, TILE, folder / "chips" / "chip.tif")
    with rasterio.open(folder / "chips" / "chip.tif") as chip:
        ids = [each["id"] for each in json.loads(chip.tags()["SCENES"])["s2"]]
        return chip.read(1), ids, catalogue.skipped_items


def slow(paths, nodata=NODATA):
    """The first value that is no hole among the rasters, point by point."""
    layers = [nearest_by_loop(path, TILE)[0] for path in paths]
    out = np.full((TILE.grid.size, TILE.grid.size), nodata, np.float64)
    for row, column in np.ndindex(out.shape):
        values = (layer[row][column] for layer in layers)
        good = [v for v in values if v is not OUTSIDE and np.isfinite(v) and v != nodata]
        out[row, column] = good[0] if good else nodata
    return out


def outline(path):
    return raster_outline(path)


# Items that cannot be placed.


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"geometry": None}, "it has no geometry"),
        ({"properties": {"datetime": None}}, "it has no time"),
        ({"geometry": None, "properties": {"datetime": None}}, "it has no geometry and time"),
    ],
)
def test_an_item_without_place_or_time_is_left_out_by_name(tmp_path, spoil, reason):
    good, bad = (scene_file(tmp_path / f"{name}.tif", pixels(seed)) for seed, name in enumerate("ab"))
    items = [make_item(path.stem, DAY, {"B1": make_asset(path)}, outline(path)) for path in (good, bad)]
    chip, ids, skipped = make(tmp_path, [items[0], items[1] | spoil])
    np.testing.assert_array_equal(chip, slow([good]))
    assert ids == ["a"]
    assert skipped == [f"scene 'b' of product 's2' is left out: {reason}"]


def test_an_item_without_place_outside_the_dates_is_nobodys_business(tmp_path):
    path = scene_file(tmp_path / "a.tif")
    items = [
        make_item("a", DAY, {"B1": make_asset(path)}, outline(path)),
        make_item("old", "2011-01-01T00:00:00Z", {"B1": make_asset(path)}, None),
    ]
    assert make(tmp_path, items)[2] == []


def test_a_wrong_footprint_gives_no_pixel_of_elsewhere(tmp_path):
    here, far = scene_file(tmp_path / "here.tif", pixels(1)), tmp_path / "far.tif"
    shift = rasterio.Affine.translation(50_000, 0)
    write_raster(far, pixels(2), shift @ transform_over(TILE, (24, 24), 10), TILE.crs, nodata=NODATA)
    items = [
        make_item("liar", "2017-06-30T10:00:00Z", {"B1": make_asset(far)}, outline(here)),
        make_item("here", DAY, {"B1": make_asset(here)}, outline(here)),
    ]
    chip, ids, _ = make(tmp_path, items)
    np.testing.assert_array_equal(chip, slow([here]))
    assert ids == ["here"]


ODD = {
    "empty": {"type": "Polygon", "coordinates": []},
    "a point": {"type": "Point", "coordinates": [14.0, 46.0]},
    "text": {"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"]]]},
    "not finite": {"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 1], [1, float("inf")], [0, 0]]]},
    "metres": {"type": "Polygon", "coordinates": [[[5e5, 5e6], [6e5, 5e6], [6e5, 6e6], [5e5, 5e6]]]},
    "a bow tie": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
    "a collection": {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 1]}]},
    "a number": 7,
    "deep": {"type": "Polygon", "coordinates": eval("[" * 60 + "]" * 60)},
}


@pytest.mark.parametrize("name", ODD)
def test_a_footprint_of_any_kind_is_a_footprint_or_one_message(tmp_path, name):
    good = scene_file(tmp_path / "a.tif")
    items = [
        make_item("a", DAY, {"B1": make_asset(good)}, outline(good)),
        {**make_item("odd", DAY, {"B1": make_asset(good)}, None), "geometry": ODD[name]},
    ]
    try:
        chip, ids, _ = make(tmp_path, items)
    except InputError as error:
        assert "scene 'odd'" in str(error) and "\n" not in str(error)
    else:
        np.testing.assert_array_equal(chip, slow([good]))
        assert ids == ["a"]


def test_of_items_with_one_id_one_counts_and_the_other_is_named(tmp_path):
    first, second = (scene_file(tmp_path / f"{name}.tif", pixels(seed)) for seed, name in enumerate("ab"))
    items = [make_item("same", DAY, {"B1": make_asset(path)}, outline(path)) for path in (first, second)]
    results = [make(tmp_path / str(n), order) for n, order in enumerate((items, items[::-1]))]
    for chip, ids, skipped in results:
        assert any(np.array_equal(chip, slow([path])) for path in (first, second))
        assert ids == ["same"] and len(skipped) == 1 and "scene 'same' of product 's2'" in skipped[0]
    np.testing.assert_array_equal(results[0][0], results[1][0])


def test_an_item_that_two_catalogues_hold_alike_is_no_trouble(tmp_path):
    path = scene_file(tmp_path / "a.tif")
    content = make_item("a", DAY, {"B1": make_asset(path, **{"raster:bands": [{"nodata": "nan"}]})}, outline(path))
    assert make(tmp_path, [content, content])[2] == []


NUMBERS = {
    "scale": [float("nan"), float("inf"), "much", [1], {}],
    "offset": [float("nan"), -float("inf"), "none", [1]],
    "nodata": ["none", [0], {}],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in NUMBERS.items() for value in values])
def test_a_number_that_is_none_names_the_scene(tmp_path, key, value):
    path = scene_file(tmp_path / "a.tif")
    content = make_item("liar", DAY, {"B1": make_asset(path, **{"raster:bands": [{key: value}]})}, outline(path))
    with pytest.raises(InputError, match="scene 'liar'") as caught:
        make(tmp_path, [content])
    assert "\n" not in str(caught.value)


TIMES = ["yesterday", "2017-13-40T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 5, [], {"a": 1}]


@pytest.mark.parametrize("when", TIMES, ids=map(str, range(len(TIMES))))
def test_a_time_that_is_none_names_the_scene(tmp_path, when):
    path = scene_file(tmp_path / "a.tif")
    items = [make_item("a", DAY, {"B1": make_asset(path)}, outline(path)), make_item("liar", when, {}, outline(path))]
    try:
        assert make(tmp_path, items)[1] == ["a"]
    except InputError as error:
        assert "\n" not in str(error) and "s2" in str(error)


# Files that are not what they should be.


class Liar(Files):
    """A server whose redirects lead in circles, to local files, or nowhere."""

    def do_GET(self):  # noqa: N802
        target = {"/loop.tif": "/loop.tif", "/local.tif": f"file://{self.directory}/secret.tif"}.get(self.path)
        if target:
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815


@pytest.fixture
def liar(tmp_path, serve):
    """A folder behind the lying server, with a raster beside it that must never be read; gives folder and address."""
    folder = tmp_path / "www"
    folder.mkdir()
    scene_file(tmp_path / "secret.tif")

    class Here(Liar):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

    return folder, serve(Here)


def vrt(target):
    transform = ",".join(map(str, transform_over(TILE, (24, 24), 10).to_gdal()))
    source = f'<SourceFilename relativeToVRT="0">{target}</SourceFilename><SourceBand>1</SourceBand>'
    return (
        f'<VRTDataset rasterXSize="24" rasterYSize="24"><SRS>{TILE.crs}</SRS><GeoTransform>{transform}</GeoTransform>'
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>{source}</SimpleSource></VRTRasterBand></VRTDataset>'
    )


FALSE_FILES = {
    "missing.tif": None,
    "empty.tif": lambda secret: b"",
    "page.tif": lambda secret: b"<!doctype html><html><body>Please log in</body></html>",
    "vrt.tif": lambda secret: vrt(secret).encode(),
    "xml.tif": lambda secret: (
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>file://{secret}</ServerUrl></Service>".encode()
    ),
    "json.tif": lambda secret: json.dumps({"type": "gdal_streamed_alg", "command_line": str(secret)}).encode(),
    "aaigrid.tif": lambda secret: b"ncols 24\nnrows 24\nxllcorner 0\nyllcorner 0\ncellsize 1\n" + b"1 " * 576,
    "loop.tif": None,
    "local.tif": None,
}


@pytest.mark.parametrize("name", FALSE_FILES)
def test_what_a_server_gives_in_place_of_a_raster_is_named_and_shows_no_local_file(tmp_path, liar, name):
    folder, address = liar
    if FALSE_FILES[name]:
        (folder / name).write_bytes(FALSE_FILES[name](tmp_path / "secret.tif"))
    items = [
        make_item("liar", DAY, {"B1": make_asset(f"{address}/{name}?token=hush")}, outline(tmp_path / "secret.tif"))
    ]
    with pytest.raises(SceneError, match=name) as caught:
        make(tmp_path, items)
    message = str(caught.value).replace(f"{address}/{name}?token=hush", "")
    assert "\n" not in message and "hush" not in message
    assert not list(tmp_path.glob("chips/*"))


def hrefs(secret):
    return [
        str(secret),
        secret.as_uri(),
        f"FILE://{secret}",
        f"file:{secret}",
        f"/vsicurl/file://{secret}",
        f"vrt://{secret}",
        f"zip://{secret}!a",
        f"zip+file://{secret}!a",
        f"//{secret}",
        f"file://localhost{secret}",
        "../../../../../../../../" + str(secret),
    ]


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("own", ["none", "local", "relative"])
def test_a_remote_catalogue_reads_no_local_file_whatever_it_links_to(tmp_path, liar, number, own):
    """Neither the address itself nor one made from it with the item's own link is a local file's."""
    folder, address = liar
    content = make_item(
        "liar", DAY, {"B1": make_asset(hrefs(tmp_path / "secret.tif")[number])}, outline(tmp_path / "secret.tif")
    )
    if own != "none":
        content["links"] = [
            make_link("self", (tmp_path / "x.json").as_uri() if own == "local" else str(tmp_path / "x.json"))
        ]
    write_catalogue(folder, [content])
    with pytest.raises(InputError):
        make(tmp_path, [], catalog=f"{address}/catalog.json")
    assert not list(tmp_path.glob("chips/*"))


@pytest.mark.parametrize("own", ["file://{0}/x.json", "{0}/x.json", "file:{0}/x.json", "/vsicurl/file://{0}/x.json"])
def test_an_items_link_to_itself_makes_no_local_address(tmp_path, liar, own):
    folder, address = liar
    content = make_item("liar", DAY, {"B1": make_asset("secret.tif")}, outline(tmp_path / "secret.tif"))
    write_catalogue(folder, [content | {"links": [make_link("self", own.format(tmp_path))]}])
    with pytest.raises(InputError):
        make(tmp_path, [], catalog=f"{address}/catalog.json")


@pytest.mark.parametrize("rel", ["child", "item"])
@pytest.mark.parametrize("form", ["file://{}", "file:{}"])
def test_a_remote_catalogue_has_no_local_members(tmp_path, liar, rel, form):
    folder, address = liar
    content = make_item("secret", DAY, {"B1": make_asset(tmp_path / "secret.tif")}, outline(tmp_path / "secret.tif"))
    local = write_catalogue(tmp_path / "private", [content])
    target = local if rel == "child" else tmp_path / "private" / "s2" / "0.json"
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "root", "description": "root"}
    write_json(folder / "s2.json", make_collection("s2", [make_link(rel, form.format(target))]))
    write_json(folder / "catalog.json", {**root, "links": [make_link("child", "./s2.json")]})
    with pytest.raises(InputError):
        StacCatalogue(make_dataset(imagery={"catalog": f"{address}/catalog.json"}).imagery).search(footprints([TILE]))


@pytest.mark.parametrize(
    "prefix", ["GTIFF_DIR:1:", "GTIFF_RAW:", "vrt://", "zip://", "DERIVED_SUBDATASET:LOGAMPLITUDE:"]
)
def test_a_local_catalogue_names_files_and_nothing_else(tmp_path, monkeypatch, prefix):
    monkeypatch.chdir(tmp_path)
    secret = scene_file(tmp_path / "secret.tif")
    write_catalogue(tmp_path, [make_item("liar", DAY, {"B1": make_asset(f"{prefix}{secret}")}, outline(secret))])
    with pytest.raises(InputError):
        make(tmp_path, [], catalog="catalog.json")


def test_a_catalogue_whose_links_lead_in_circles_is_read_once(tmp_path, serve):
    path = scene_file(tmp_path / "a.tif")
    catalog = write_catalogue(tmp_path, [make_item("a", DAY, {"B1": make_asset("../a.tif")}, outline(path))])
    for name in ("catalog.json", "s2/collection.json"):
        content = json.loads((tmp_path / name).read_text())
        back = [make_link("child", "../catalog.json"), make_link("child", "./collection.json")]
        content["links"] += (
            back if "/" in name else [make_link("child", "./catalog.json"), make_link("child", "./s2/collection.json")]
        )
        write_json(tmp_path / name, content)
    for place in (catalog, serve(tmp_path) + "/catalog.json"):
        found = StacCatalogue(make_dataset(imagery={"catalog": str(place)}).imagery).search(footprints([TILE]))
        assert [scene.id for scene in found] == ["a"]


def test_a_catalogue_that_redirects_in_circles_gives_one_message(serve):
    class Circle(Files):
        def do_GET(self):  # noqa: N802
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()

    with pytest.raises(InputError, match="cannot be read as STAC") as caught:
        open_catalog(serve(Circle) + "/catalog.json")
    assert "\n" not in str(caught.value)


def test_a_server_that_never_goes_on_is_given_up(tmp_path, serve, monkeypatch):
    import threading

    ended = threading.Event()

    class Silent(Files):
        def do_GET(self):  # noqa: N802
            ended.wait(30)

        do_HEAD = do_GET  # noqa: N815

    monkeypatch.setitem(GDAL_OPTIONS, "GDAL_HTTP_LOW_SPEED_TIME", "1")
    monkeypatch.setitem(GDAL_OPTIONS, "GDAL_HTTP_MAX_RETRY", "0")
    path = scene_file(tmp_path / "a.tif")
    items = [make_item("a", DAY, {"B1": make_asset(serve(Silent) + "/a.tif")}, outline(path))]
    try:
        with pytest.raises(SceneError, match="cannot be read"):
            make(tmp_path, items)
        assert GDAL_OPTIONS["GDAL_HTTP_LOW_SPEED_LIMIT"] == "1"
    finally:
        ended.set()


# Rasters that are damaged, or unlike their siblings.

LAYOUTS = {
    "COG": {"driver": "COG"},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    "strips": {"blockysize": 3, "interleave": "band"},
    "tags last": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "lzw"},
}


def damaged_layout(path, layout, data):
    """A raster of 48 x 48 pixels, whose tags come last where the layout says so."""
    profile = {"driver": "GTiff"} | LAYOUTS[layout]
    shape = {"count": 1, "height": 48, "width": 48, "dtype": "uint16", "crs": TILE.crs, "nodata": None}
    with rasterio.open(path, "w", transform=transform_over(TILE, (48, 48), 10), **shape | profile) as file:
        if layout != "tags last":
            file.nodata = NODATA
        file.write(data, 1)
    if layout == "tags last":
        with rasterio.open(path, "r+") as file:
            file.update_tags(note="n" * 300)
            file.nodata = NODATA
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_raster_cut_off_anywhere_is_named_or_whole(tmp_path, layout):
    """At 60 places drawn at random and at each of the last 40 bytes."""
    path = damaged_layout(tmp_path / "whole.tif", layout, pixels(SEED, shape=(48, 48)))
    content = path.read_bytes()
    right = slow([path])
    draws = random.Random(SEED)
    cuts = sorted({draws.randrange(len(content)) for _ in range(60)} | set(range(len(content) - 40, len(content))))
    outcomes = {"named": 0, "whole": 0}
    for cut in cuts:
        part = tmp_path / f"cut{cut}.tif"
        part.write_bytes(content[:cut])
        try:
            got, valid = RasterReader(4).read([Band(str(part), 1, None, 1.0, 0.0)], TILE, "nearest")
        except SceneError as error:
            assert part.name in str(error) and "\n" not in str(error)
            outcomes["named"] += 1
        else:
            np.testing.assert_array_equal(np.where(valid, got, NODATA)[0], right, err_msg=f"cut at {cut}")
            outcomes["whole"] += 1
    assert outcomes["named"] > 20


def test_siblings_in_another_crs_give_the_pixels_under_the_tile(tmp_path):
    holes = pixels(3)
    holes[6:18, 6:18] = NODATA
    first = scene_file(tmp_path / "a.tif", holes)
    second = scene_file(tmp_path / "b.tif", pixels(4, shape=(40, 40)), crs="EPSG:3857", step=15)
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path)}, outline(path))
        for day, path in enumerate((first, second), 1)
    ]
    chip, ids, _ = make(tmp_path, items)
    np.testing.assert_array_equal(chip, slow([first, second]))
    assert ids == ["a", "b"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "complex64"])
def test_a_sibling_of_another_dtype_is_named(tmp_path, dtype):
    first = scene_file(tmp_path / "a.tif", pixels(3))
    second = scene_file(tmp_path / "b.tif", np.ones((24, 24), dtype), nodata=None)
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path)}, outline(path))
        for day, path in enumerate((first, second), 1)
    ]
    with pytest.raises(SceneError, match="'b' of product 's2' holds"):
        make(tmp_path, items)


def test_a_sibling_of_fewer_bands_than_it_promises_is_named(tmp_path):
    two = {"bands": [{"name": "one"}, {"name": "two"}]}
    first = scene_file(tmp_path / "a.tif", np.stack([pixels(3), pixels(4)]))
    second = scene_file(tmp_path / "b.tif", pixels(5))
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path, **two)}, outline(path))
        for day, path in enumerate((first, second), 1)
    ]
    with pytest.raises(SceneError, match=r"b\.tif: has 1 bands, but its catalogue lists band 2"):
        make(tmp_path, items, products=[{"id": "s2", "bands": ["one", "two"]}])


@pytest.mark.parametrize("nodata", [None, -9999.0, float("nan")])
@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
def test_what_is_not_finite_is_no_value(tmp_path, kind, nodata):
    rng = np.random.default_rng(SEED)
    paths = []
    for number in range(3):
        data = rng.integers(-500, 500, (24, 24)).astype("float32")
        for strange in (np.nan, np.inf, -np.inf):
            data[rng.random(data.shape) < 0.2] = strange
        paths.append(scene_file(tmp_path / f"{number}.tif", data, nodata=nodata))
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path)}, outline(path))
        for day, path in enumerate(paths, 1)
    ]
    chip, _, _ = make(tmp_path, items, composite=kind)
    layers = [nearest_by_loop(path, TILE)[0] for path in paths]
    for row, column in np.ndindex(chip.shape):
        values = [float(layer[row][column]) for layer in layers if np.isfinite(layer[row][column])]
        right = {"closest": lambda v: v[0], "median": np.median, "mean": np.mean}[kind](values) if values else nodata
        right = np.nan if right is None else right
        assert chip[row, column] == pytest.approx(right, rel=1e-6, nan_ok=True)


# Fuzzing: anything may stand in an item.

JUNK = [None, "", "x", "\x00", -1, 0, 1e308, float("nan"), True, [], {}, [[]], {"href": "/etc/passwd"}, "é\n", 10**30]


def mutated(draws, content):
    """The content with up to three of its values replaced by junk, removed or doubled."""
    content = json.loads(json.dumps(content))
    for _ in range(draws.randint(1, 3)):
        place, keys = content, []
        while isinstance(place, dict | list) and place and (not keys or draws.random() < 0.75):
            keys.append(draws.choice(list(place) if isinstance(place, dict) else range(len(place))))
            last, place = place, place[keys[-1]]
        if not keys:
            continue
        if draws.random() < 0.2:
            del last[keys[-1]]
        else:
            last[keys[-1]] = draws.choice(JUNK)
    return content


def test_whatever_stands_in_an_item_is_a_scene_or_one_message(tmp_path):
    """400 seeded mutations; only errors for users come out, and a chip shows what lies under its tile."""
    draws, path = random.Random(SEED), scene_file(tmp_path / "a.tif")
    facts = {"raster:bands": [{"nodata": NODATA, "scale": 1.0, "offset": 0.0}], "eo:bands": [{"name": "one"}]}
    content = make_item(
        "a", DAY, {"B1": make_asset(path, **facts)}, shapely.geometry.mapping(shapely.box(13, 45, 15, 47)), cloud=3
    )
    right, made = slow([path]), 0
    for number in range(400):
        folder = tmp_path / str(number)
        write_catalogue(folder, [content])
        (folder / "s2" / "0.json").write_text(json.dumps(mutated(draws, content)))
        try:
            chip, ids, _ = make(folder, [], catalog=folder / "catalog.json")
        except SegchipsError as error:
            assert "\n" not in str(error)
        else:
            made += bool(ids)
            assert chip is None or chip.shape == right.shape
    assert made > 20


# The whole workflow.


def test_a_run_leaves_out_what_it_cannot_place_and_says_so(sample_run: Project, fresh: Project) -> None:
    folder = fresh.folder / "resources" / "sample"
    good = json.loads(sorted(folder.glob("sample-l2a/*/*.json"))[0].read_text())
    lies = {
        "nowhere": good | {"geometry": None},
        "never": good | {"properties": {**good["properties"], "datetime": None}},
    }
    root = json.loads((folder / "catalog.json").read_text())
    for name, content in lies.items():
        content.pop("bbox", None) if name == "nowhere" else None
        write_json(folder / f"{name}.json", content | {"id": name})
        root["links"].append(make_link("item", f"./{name}.json"))
    write_json(fresh.folder / "lies.json", root | {"links": [absolute(each, folder) for each in root["links"]]})
    fresh.change("defaults.imagery.catalog", "lies.json")
    result = fresh.run()
    assert result.returncode == 0, result.stdout
    log = (fresh.folder / "logs/sample/scenes.log").read_text()
    for name, reason in (("nowhere", "it has no geometry"), ("never", "it has no time")):
        line = f"scene '{name}' of product 'sample-l2a' is left out: {reason}"
        assert line in log and line in " ".join(result.stdout.split())
    assert fresh.file_bytes("results/sample/images/*") == sample_run.file_bytes("results/sample/images/*")


def absolute(entry, folder):
    return {**entry, "href": os.path.normpath(folder / entry["href"])}
