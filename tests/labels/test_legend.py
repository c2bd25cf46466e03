"""Names and colours that rasters give to their values, in each way in which formats keep them."""

import numpy as np
import pytest
import rasterio
from pydantic import TypeAdapter
from rasterio.transform import from_origin

from segchips.config.labels import LabelsConfig
from segchips.labels.legend import read_legend
from segchips.labels.value_entries import ValueEntry, read_value_entries
from segchips.tiles.label_rasters import source_files
from support.vectors import write_vectors

COLOURS = {10: (0, 100, 0), 50: (250, 0, 0), 80: (0, 0, 250)}
NAMES = {10: "Tree cover", 50: "Built-up", 80: "Water"}
EXPECTED = {value: ValueEntry(NAMES[value], COLOURS[value]) for value in COLOURS}


def write_map(path, driver="GTiff", **profile):
    shape = {"height": 4, "width": 4, "count": 1, "dtype": "uint8"}
    with rasterio.open(
        path, "w", driver=driver, crs="EPSG:32633", transform=from_origin(5e5, 5e6, 10, 10), **shape, **profile
    ) as file:
        file.write(np.array([[10, 50, 80, 10]] * 4, "uint8"), 1)
    return str(path)


def by_palette(folder):
    path = write_map(folder / "map.tif")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, COLOURS)
    names = "".join(f"<Category>{NAMES.get(value, '')}</Category>" for value in range(81))
    (folder / "map.tif.aux.xml").write_text(
        f"<PAMDataset><PAMRasterBand band='1'><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>"
    )
    return path


def attribute_table(folder, usages):
    columns = ("VALUE", "NLCD Land Cover Class", "Red", "Green", "Blue")
    kinds = (0, 2, 0, 0, 0)
    fields = "".join(
        f"<FieldDefn index='{n}'><Name>{name}</Name><Type>{kinds[n]}</Type><Usage>{usages[n]}</Usage></FieldDefn>"
        for n, name in enumerate(columns)
    )
    rows = "".join(
        f"<Row index='{n}'><F>{value}</F><F>{NAMES[value]}</F>"
        + "".join(f"<F>{part}</F>" for part in COLOURS[value])
        + "</Row>"
        for n, value in enumerate(COLOURS)
    )
    (folder / "map.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><GDALRasterAttributeTable>"
        f"{fields}{rows}</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
    )
    return write_map(folder / "map.tif")


def table_of_arcgis(folder, shares=False):
    pyogrio = pytest.importorskip("pyogrio.raw")
    columns = {"VALUE": list(COLOURS), "COUNT": [1, 2, 3], "CLASS_NAME": list(NAMES.values())}
    columns |= {name: [COLOURS[value][n] for value in COLOURS] for n, name in enumerate(("RED", "GREEN", "BLUE"))}
    if shares:
        columns |= {name: [part / 250 for part in columns[name]] for name in ("RED", "GREEN", "BLUE")}
    data = [np.array(column, object if isinstance(column[0], str) else None) for column in columns.values()]
    pyogrio.write(
        folder / "map.tif.vat.dbf", None, data, list(columns), geometry_type=None, crs=None, driver="ESRI Shapefile"
    )
    return write_map(folder / "map.tif")


@pytest.mark.parametrize(
    "write",
    [
        by_palette,
        lambda folder: attribute_table(folder, (5, 2, 6, 7, 8)),
        lambda folder: attribute_table(folder, (0, 0, 0, 0, 0)),
        table_of_arcgis,
    ],
    ids=["palette and categories", "attribute table", "table without usages", "table of ArcGIS"],
)
def test_names_and_colours_of_values(tmp_path, write):
    path = write(tmp_path)
    found = read_value_entries(path, 1)
    assert {value: found[value] for value in COLOURS} == EXPECTED
    assert not any(entry.name for value, entry in found.items() if value not in COLOURS)
    tables = {str(file) for file in tmp_path.iterdir() if file.suffix != ".cpg"}
    assert tables == set(source_files(path)), "all count for reruns"


def test_colours_as_shares(tmp_path):
    found = read_value_entries(table_of_arcgis(tmp_path, shares=True), 1)
    assert found[50].colour == (255, 0, 0) and found[10].colour == (0, 102, 0)


@pytest.mark.parametrize(
    ("classes", "names", "colours"),
    [
        (None, NAMES, COLOURS),
        ({"10": 1, "50-80": 2}, {1: "Tree cover", 2: "Built-up, Water"}, {1: COLOURS[10], 2: COLOURS[50]}),
        ({"Tree cover": 1, "50": 2, "80": None}, {1: "Tree cover", 2: "Built-up"}, {1: COLOURS[10], 2: COLOURS[50]}),
    ],
    ids=["values", "numbers and ranges", "names"],
)
def test_classes_have_the_names_and_colours_of_their_values(tmp_path, classes, names, colours):
    path = attribute_table(tmp_path, (5, 2, 6, 7, 8))
    legend = read_legend(TypeAdapter(LabelsConfig).validate_python({"path": path, "classes": classes}))
    assert (legend.names, legend.colours) == (names, colours)


def test_features_have_the_names_of_the_config(tmp_path):
    from shapely.geometry import box

    path = write_vectors(tmp_path / "a.gpkg", [box(14, 45, 15, 46)], "EPSG:4326", kind=["10"])
    block = {"path": path, "attribute": "kind", "classes": {"10": 1}}
    legend = read_legend(TypeAdapter(LabelsConfig).validate_python(block))
    assert (legend.names, legend.colours) == ({1: "10"}, {})
