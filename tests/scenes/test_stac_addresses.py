"""Where items lie in a catalogue, and the addresses of their assets."""

import os

import pytest

from segchips.errors import InputError
from support.catalogues import make_asset, make_collection, make_item, make_link, write_catalogue, write_json
from support.stac_scenes import DAY, HERE, find, ids

# Where items lie in a static catalogue.


def tree(folder):
    """A catalogue whose items lie at five kinds of places; each is named after its place."""
    scene = {
        name: make_item(name, DAY, {"B1": make_asset(f"./{name}.tif")}, HERE)
        for name in ("root", "year", "s2", "deep", "bare")
    }
    del scene["bare"]["collection"]
    other = make_item("other", DAY, {"B1": make_asset("./other.tif")}, HERE, collection="landsat")
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "description": "-"}
    files = {
        "catalog.json": {
            **catalogue,
            "id": "root",
            "links": [make_link("child", "./years/catalog.json"), make_link("item", "./root.json")],
        },
        "years/catalog.json": {
            **catalogue,
            "id": "years",
            "links": [
                make_link("child", "./s2/collection.json"),
                make_link("child", "landsat/collection.json"),
                make_link("item", "./year.json"),
            ],
        },
        "years/s2/collection.json": make_collection(
            "s2",
            [
                make_link("item", "./s2.json"),
                make_link("item", "./bare.json"),
                make_link("child", "./2017/catalog.json"),
            ],
        ),
        "years/s2/2017/catalog.json": {
            **catalogue,
            "id": "2017",
            "links": [make_link("item", "../../../deep/deep.json")],
        },
        "years/landsat/collection.json": make_collection("landsat", [make_link("item", "./other.json")]),
        "root.json": scene["root"],
        "years/year.json": scene["year"],
        "years/s2/s2.json": scene["s2"],
        "years/s2/bare.json": scene["bare"],
        "deep/deep.json": scene["deep"],
        "years/landsat/other.json": other,
    }
    for name, content in files.items():
        write_json(folder / name, content)
    return folder / "catalog.json"


PLACES = {"root": ".", "year": "years", "s2": "years/s2", "deep": "deep", "bare": "years/s2"}


def test_items_are_found_wherever_they_lie_and_assets_beside_them(tmp_path, monkeypatch, serve):
    path = tree(tmp_path / "cat")
    monkeypatch.chdir(tmp_path)
    for catalog, base in (
        (path, tmp_path / "cat"),
        ("cat/catalog.json", "cat"),
        ("./cat/../cat/catalog.json", "cat"),
        (path.as_uri(), tmp_path / "cat"),
        (serve(tmp_path / "cat") + "/catalog.json", None),
    ):
        scenes = find(catalog)
        assert ids(scenes) == sorted(PLACES)
        for scene in scenes:
            place = os.path.normpath(f"{PLACES[scene.id]}/{scene.id}.tif")
            right = os.path.join(base, place) if base else str(catalog).replace("catalog.json", place)
            assert scene.find_band("B1").href == right


def test_a_relative_catalogue_in_another_folder_keeps_relative_addresses(tmp_path, monkeypatch):
    write_catalogue(tmp_path / "data", [make_item("a", DAY, {"B1": make_asset("../../x/a.tif")}, HERE)])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert find("../data/catalog.json")[0].find_band("B1").href == "../x/a.tif"


def test_an_item_in_two_catalogues_is_one_scene_in_any_order(tmp_path):
    def both(folder, order):
        for name in "ab":
            assets = {"B1": make_asset(f"https://example.com/{name}.tif")}
            write_json(folder / name / "item.json", make_item("same", DAY, assets, HERE))
        links = [make_link("item", f"./{name}/item.json") for name in order]
        write_json(
            folder / "s2" / "collection.json",
            make_collection("s2", [make_link("item", f"../{name}/item.json") for name in order]),
        )
        root = {"type": "Catalog", "stac_version": "1.0.0", "id": "r", "description": "-"}
        return write_json(
            folder / "catalog.json", {**root, "links": [make_link("child", "./s2/collection.json"), *links]}
        )

    first, second = (find(both(tmp_path / order, order)) for order in ("ab", "ba"))
    assert len(first) == 1 and first == second and first[0].pin == second[0].pin


# Addresses.


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("./a.tif", "cat/s2/a.tif"),
        ("a b.tif", "cat/s2/a b.tif"),
        ("../up/a.tif", "cat/up/a.tif"),
        ("https://example.com/a.tif?x=1", "https://example.com/a.tif?x=1"),
        ("s3://bucket/a.tif", "s3://bucket/a.tif"),
        ("gs://bucket/a.tif", "gs://bucket/a.tif"),
    ],
)
def test_addresses_in_a_local_catalogue(tmp_path, monkeypatch, href, expected):
    monkeypatch.chdir(tmp_path)
    path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset(href)}, HERE)])
    assert find("cat/catalog.json")[0].find_band("B1").href == expected
    assert find(path)[0].find_band("B1").href == (expected if "://" in expected else str(tmp_path / expected))


def test_absolute_addresses_in_a_local_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "far away" / "a.tif"
    for href in (str(target), target.as_uri()):
        path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset(href)}, HERE)])
        assert find(path)[0].find_band("B1").href == str(target)
        assert find("cat/catalog.json")[0].find_band("B1").href == "far away/a.tif"


@pytest.mark.parametrize(
    "href",
    ["/vsicurl/https://example.com/a.tif", "/vsizip/a.zip/a.tif", "../../../../../../../../../../../../vsimem/a.tif"],
)
def test_no_catalogue_may_point_into_gdals_virtual_file_systems(tmp_path, href):
    path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset(href)}, HERE)])
    with pytest.raises(InputError, match="asset 'B1' of scene 'a' points at '.*'; an asset must be a file or"):
        find(path)


@pytest.mark.parametrize("href", ["file:///etc/a.tif", "FILE:///etc/a.tif", "/etc/a.tif", "/vsicurl/http://x/a.tif"])
@pytest.mark.parametrize("kind", ["static", "api"])
def test_a_remote_catalogue_may_not_point_at_local_files(tmp_path, serve, stac_api, href, kind):
    items = [make_item("a", DAY, {"B1": make_asset(href)}, HERE)]
    if kind == "static":
        write_catalogue(tmp_path, items)
        catalog = serve(tmp_path) + "/catalog.json"
    else:
        catalog = stac_api(items, [make_collection("s2")])
    with pytest.raises(InputError, match=f"asset 'B1' of scene 'a' points at '{href}'; (remote|an asset must)"):
        find(catalog)


def test_an_apis_relative_address_is_relative_to_the_item(stac_api):
    api = stac_api([make_item("a", DAY, {"B1": make_asset("./data/a.tif")}, HERE)], [make_collection("s2")])
    assert find(api)[0].find_band("B1").href == f"{api}/collections/s2/items/data/a.tif"
