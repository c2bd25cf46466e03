"""Class rasters that a STAC catalogue lists."""

import json
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest

from segchips.errors import InputError
from segchips.tiles.label_rasters import raster_files, source_files
from support.label_rasters import burn, read_labels, write_raster


def catalogue_of_maps(folder, form):
    """Items of 2015 and 2020 whose maps overlap, in one of the forms of STAC; the older has the later name."""
    items = []
    for name, year, value in (("b", 2015, 1), ("a", 2020, 2)):
        columns = slice(0, 24) if value == 1 else slice(12, 40)
        pixels = np.zeros((40, 40), "uint8")
        pixels[:, columns] = value
        write_raster(folder / "maps" / f"{name}.tif", pixels, nodata=0)
        item = pystac.Item(name, None, None, datetime(year, 7, 1, tzinfo=UTC), {})
        item.add_asset("classes", pystac.Asset("a.tif" if name == "a" else "./b.tif"))
        item.add_asset("thumbnail", pystac.Asset("thumb.png"))
        item.set_self_href(str(folder / "maps" / f"{name}.json"))
        items.append(item)
    path = folder / "maps" / "catalog.json"
    if form == "items":
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [item.to_dict() for item in items]}))
        return path
    catalog = pystac.Catalog("maps", "maps", href=str(path), catalog_type=pystac.CatalogType.SELF_CONTAINED)
    catalog.add_items(items)
    for item in items:
        item.set_self_href(str(folder / "maps" / f"{item.id}.json"))
    for entry in (*items, catalog):
        entry.save_object(dest_href=entry.self_href)
    return path if form == "catalog" else folder / "maps" / "a.json"


@pytest.mark.parametrize("form", ["catalog", "items", "item"])
def test_the_latest_map_of_a_catalogue_wins(tmp_path, form):
    path = str(catalogue_of_maps(tmp_path, form))
    labels = read_labels(path, asset="classes", unknown=254)
    expected = np.full((32, 32), 254)
    if form != "item":
        expected[:, :20] = 1
    expected[:, 8:] = 2
    np.testing.assert_array_equal(burn(labels), expected)
    files = {str(tmp_path / "maps" / name) for name in ("a.tif", "b.tif")[: 1 if form == "item" else 2]}
    assert set(source_files(path, "classes")) == {path, *files}
    with pytest.raises(InputError, match="is a STAC catalogue; name the asset that holds the labels with labels.asset"):
        raster_files(path)
    with pytest.raises(InputError, match="no item with an asset 'map'; its items have classes, thumbnail"):
        raster_files(path, "map")
    with pytest.raises(InputError, match=r"asset 'thumbnail' of item '[ab]' of .*thumb\.png' does not exist"):
        raster_files(path, "thumbnail")


def test_asset_is_for_catalogues(tmp_path):
    path = write_raster(tmp_path / "map.tif", np.ones((40, 40), "uint8"))
    with pytest.raises(InputError, match=r"map\.tif' cannot be read as a STAC catalogue .*labels\.asset is for"):
        read_labels(path, asset="classes")
