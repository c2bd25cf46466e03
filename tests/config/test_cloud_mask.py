"""The block `cloud_mask`: its values, bits, fields and ranges, and the messages for those that cannot be used."""

import re

import pytest

from segchips.config.loading import load_config
from segchips.errors import ConfigError

FIELD = {"bits": [6, 7], "clear": [0, 3]}


def load(**mask):
    imagery = {
        "catalog": "c.json",
        "products": [{"id": "p", "bands": ["b"]}],
        "cloud_mask": {"asset": "m", **mask},
    }
    labels = {"path": "l.gpkg", "background": 255}
    return (
        load_config({"datasets": {"a": {"imagery": imagery, "labels": labels}}}).datasets["a"].imagery.first.cloud_mask
    )


def test_fields_and_ranges_are_read():
    mask = load(bits=[1], fields=[FIELD])
    assert [(field.bits, field.clear) for field in mask.fields] == [((6, 7), (0, 3))] and mask.bits == (1,)
    mask = load(min=0.5, max=40)
    assert (mask.min, mask.max, mask.fields, mask.clear) == (0.5, 40, None, None)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"max": 40, "min": 50}, "cloud_mask.min: 50 is above max (40); swap them"),
        (
            {"fields": [FIELD | {"bits": [6, 8]}]},
            "cloud_mask.fields.0.bits: [6, 8] are not neighbours in ascending order; write such as [6, 7]",
        ),
        ({"fields": [FIELD | {"clear": [4]}]}, "cloud_mask.fields.0.clear: 4 does not fit 2 bits; give 0 to 3"),
        ({"fields": [FIELD | {"bits": []}]}, "cloud_mask.fields.0.bits: [] is not usable; it must not be empty"),
        ({"clear": [1], "max": 2}, "cloud_mask: give one of clear (values of clear pixels), bits and fields"),
        ({"bits": [1], "max": 2}, "cloud_mask: give one of clear (values of clear pixels), bits and fields"),
        ({"max": "40"}, "cloud_mask.max: '40' is not usable; it must be a number or null"),
    ],
)
def test_a_mask_that_cannot_be_used_is_named(mask, message):
    with pytest.raises(ConfigError, match=re.escape(f"datasets.a.imagery.{message}")):
        load(**mask)
