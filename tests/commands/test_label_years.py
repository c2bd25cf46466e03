"""The years that labels are from, by their attributes or the name of their file."""

import pandas as pd
import pytest

from segchips.commands.label_years import label_years


@pytest.mark.parametrize(
    ("name", "columns", "years"),
    [
        ("fields.gpkg", {}, ()),
        ("fields_2021.gpkg", {}, (2021,)),
        ("fields-20210613.shp", {}, (2021,)),
        ("parcel_12021.gpkg", {}, ()),
        ("fields_2999.gpkg", {}, ()),
        ("fields_2019.gpkg", {"year": [2021, 2021, 2020]}, (2020, 2021)),
        ("fields.gpkg", {"JAHR": [2021.0, None]}, (2021,)),
        ("fields.gpkg", {"year_built": [1900, 1950]}, ()),
        ("fields.gpkg", {"year": list(range(1960, 1990))}, ()),
        ("fields.gpkg", {"obs_date": ["2021-06-13", "2021-07-01"]}, (2021,)),
        ("fields.gpkg", {"obs_date": ["13.06.2021"]}, (2021,)),
        ("fields.gpkg", {"obs_date": ["unknown", "2021-06-13"]}, ()),
        ("fields.gpkg", {"seen": pd.to_datetime(["2021-06-13", None])}, (2021,)),
        ("fields.gpkg", {"length": [2021]}, ()),
    ],
)
def test_years(name, columns, years):
    assert label_years(name, pd.DataFrame(columns)) == years


def test_rasters_have_their_name_alone():
    assert label_years("map_2020.tif", None) == (2020,)
