"""Servers, links and files that are not what a catalogue says, and local files that must not be read."""

import json

import pytest

from conftest import Files
from segchips.errors import InputError, SceneError
from segchips.grids.outlines import footprints
from segchips.remote import http_ranges
from segchips.scenes.stac_catalogue import StacCatalogue
from segchips.scenes.stac_client import open_catalog
from support.catalogues import make_asset, make_collection, make_item, make_link, write_catalogue, write_json
from support.datasets import make_dataset
from support.rasters import transform_over
from support.wrong_catalogues import DAY, TILE, make, outline, scene_file

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
def test_a_reply_that_is_not_a_raster_is_named(tmp_path, liar, name):
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
        StacCatalogue(make_dataset(imagery={"catalog": f"{address}/catalog.json"}).imagery.first).search(
            footprints([TILE])
        )


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
        found = StacCatalogue(make_dataset(imagery={"catalog": str(place)}).imagery.first).search(footprints([TILE]))
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


def test_a_stalled_server_times_out(tmp_path, serve, monkeypatch):
    import threading

    ended = threading.Event()

    class Silent(Files):
        def do_GET(self):  # noqa: N802
            ended.wait(30)

        do_HEAD = do_GET  # noqa: N815

    monkeypatch.setattr(http_ranges, "_SILENCE_SECONDS", 0.5)
    path = scene_file(tmp_path / "a.tif")
    items = [make_item("a", DAY, {"B1": make_asset(serve(Silent) + "/a.tif")}, outline(path))]
    try:
        with pytest.raises(SceneError, match="cannot be read \\(no answer in time"):
            make(tmp_path, items)
    finally:
        ended.set()
