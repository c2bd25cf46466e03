"""Locations and messages without credentials, signatures and local folders."""

import pytest

from segchips.reports.redaction import redact_location, redact_message


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://me:pw@stac.org/v1/catalog.json?token=SECRET#part", "https://stac.org/v1/catalog.json"),
        ("https://stac.org/with space?token=SECRET", "https://stac.org/with space"),
        ("/home/me/aoi.gpkg", "…/aoi.gpkg"),
        ("file:///home/me/aoi.gpkg", "…/aoi.gpkg"),
        ("data/aoi.gpkg", "data/aoi.gpkg"),
    ],
)
def test_locations(location, expected):
    assert redact_location(location) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("reading /vsicurl/https://me:pw@host.org/a.tif?sig=SECRET failed", "reading https://host.org/a.tif failed"),
        ("see /secret/folder/b.tif and data/b.tif", "see …/b.tif and data/b.tif"),
        ("'file:///secret/b.tif' is damaged", "'…/b.tif' is damaged"),
    ],
)
def test_messages(message, expected):
    assert redact_message(message) == expected
