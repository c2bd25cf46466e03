"""Attribute values and class maps: the label values that they burn, and the messages about the others."""

import math
import re

import geopandas
import numpy as np
import pytest
import yaml

from segchips.errors import InputError
from support.label_features import UTM, burn_tile, read_features, squares
from support.vectors import write_vectors


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 300, 2], r"1 feature \(FID 2: '300'\) has a value that is not a whole number from 0 to 255"),
        ([1, -1, 300], r"2 features \(FID 2: '-1', 3: '300'\) have a value that is not a whole number"),
        ([1.0, 2.5, 3.0], r"1 feature \(FID 2: '2\.5'\) has a value that is not a whole number"),
        ([1, 255, 2], r"1 feature \(FID 2: '255'\) has the value of the background; choose another labels\.background"),
        ([math.nan, 1.0, 2.0], r"1 feature \(FID 1: 'nan'\) has no value; give them one, remove them, or map '' in"),
        ([300] * 8, r"8 features \(FID 1: '300', 2: '300', 3: '300', 4: '300', 5: '300', \.\.\.\) have"),
        (
            ["water", "wood", "water"],
            r"attribute 'number' of layer 'a' of '.*a\.gpkg' holds text; .*\{water: 1, wood: 2\}",
        ),
        (["1", "2", "3"], "holds text; map it to numbers with labels.classes, such as {1: 1, 2: 2, 3: 3}"),
        (["water", None, "water"], r"1 feature \(FID 2: 'None'\) has no value"),
        (["water", "", "wood"], r"holds text; .*\{'': 1, water: 2, wood: 3\}"),
    ],
)
def test_values_that_cannot_be_burned_are_named(tmp_path, values, words):
    path = write_vectors(tmp_path / "a.gpkg", squares(len(values)), UTM, number=values)
    with pytest.raises(InputError, match=words) as caught:
        read_features(path, attribute="number")
    assert "attribute 'number' of layer 'a'" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        (["water", "wood", "rock"], {"water": 1, "wood": 2, "rock": 1}, [1, 2, 1]),
        ([10, 20, 300], {10: 1, 20: 2, 300: 3}, [1, 2, 3]),
        ([10, 20, 300], {"10": 1, "20": 2, "300": 3}, [1, 2, 3]),
        ([1.0, 2.5, 3.0], {1: 7, 2.5: 8, 3: 9}, [7, 8, 9]),
        (["water", "wood", "rock"], {"water": 0, "wood": 255, "rock": 3}, [0, 255, 3]),
        (["water", "wood", "rock"], {"water": 4, "wood": None, "rock": None}, [4, 255, 255]),
        ([True, False, True], {True: 5, False: 6}, [5, 6, 5]),
        ([True, False, True], {"yes": 5, "no": 6}, [5, 6, 5]),
        ([True, False, True], {1: 5, 0: 6}, [5, 6, 5]),
        (["yes", "no", "YES"], {True: 5, False: 6}, [5, 6, 5]),
        (["1", "01", "1.0"], {1: 5}, [5, 5, 5]),
        (["1", "01", "1.0"], {1: 5, "01": 6}, [5, 6, 5]),
        ([1, 2, 3], {"1.0": 5, "02": 6, "3e0": 7}, [5, 6, 7]),
        (np.array([0.1, 2.5, 3], "float32"), {0.1: 5, "2.50": 6, 3: 7}, [5, 6, 7]),
        ([10, 19, 25], {"10-19": 5, "20-29": 6}, [5, 5, 6]),
        ([-5, -1, 7], {"-9--1": 5, -1: 6, "0 - 9": 7}, [5, 6, 7]),
        (["10-19", "15", "x"], {"10-19": 5, "x": 6}, [5, 5, 6]),
        (["null", None, "a"], {None: 5, "a": 6}, [5, 5, 6]),
        (["water", None, ""], {"water": 1, "": 2}, [1, 2, 2]),
        (["water", None, ""], {"water": 1, "": None}, [1, 255, 255]),
        ([1.0, math.nan, 2.0], {1: 1, 2: 2, "": None}, [1, 255, 2]),
        (["A\u0308cker", "\u00c4cker", "x"], {"\u00c4cker": 1, "x": 2}, [1, 1, 2]),
    ],
)
def test_class_maps(tmp_path, values, classes, expected):
    """A class that is the background, or no class, is meant to be."""
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=values)
    pixels = burn_tile(read_features(path, attribute="number", classes=classes, all_touched=False))
    assert [int(pixels[31, 2 * number]) for number in range(3)] == expected


def test_missing_values_do_not_name_their_class(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=["water", None, ""])
    assert read_features(path, attribute="number", classes={"": 0, "water": 1, "other": 0}).config.names == {
        0: "other",
        1: "water",
    }


def test_a_value_that_the_class_map_lacks_is_named(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=["water", "wood", "water"])
    with pytest.raises(
        InputError, match=r"1 feature \(FID 2: 'wood'\) has a value that labels\.classes does not map; .*null"
    ):
        read_features(path, attribute="number", classes={"water": 1})


def test_whole_numbers_of_any_type_are_values(tmp_path):
    for number, dtype in enumerate(("int16", "int32", "int64", "float32", "float64", "uint8")):
        path = write_vectors(tmp_path / f"{number}.gpkg", squares(3), UTM, number=np.array([0, 7, 254], dtype))
        pixels = burn_tile(read_features(path, attribute="number", all_touched=False))
        assert [int(pixels[31, 2 * place]) for place in range(3)] == [0, 7, 254]


@pytest.mark.parametrize(
    "text", ["010", "1_000", "12:30", "a: b", "x#y", "[a", "it's", "~", "!x", "2020-01-01", "yes", "7"]
)
def test_the_class_map_that_a_message_suggests_works(tmp_path, text):
    path = write_vectors(tmp_path / "a.gpkg", squares(2), UTM, number=[text, "known"])
    with pytest.raises(InputError) as caught:
        read_features(path, attribute="number", classes={"known": 9})
    suggested = yaml.safe_load(re.search(r"such as (\{.*\}), or", str(caught.value))[1])
    features = read_features(path, attribute="number", classes=suggested | {"known": 9}, all_touched=False)
    assert burn_tile(features)[31, 0] == 1


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", ["Wälder", "Straße"])
def test_utf_8_read_as_another_encoding_is_suspected(tmp_path, text, encoding):
    path = write_vectors(tmp_path / "a.gpkg", squares(1), UTM, number=[text.encode().decode(encoding)])
    with pytest.raises(InputError, match=f"seems to be '{text}' in UTF-8: set labels.encoding to UTF-8"):
        read_features(path, attribute="number", classes={"Wälder": 1})


def test_feature_ids_are_an_attribute(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=[7, 8, 9])
    pixels = burn_tile(read_features(path, attribute="fid", all_touched=False))
    assert [int(pixels[31, 2 * place]) for place in range(3)] == [1, 2, 3]


def test_lists_are_no_classes(tmp_path):
    frame = geopandas.GeoDataFrame({"number": [[1], [2]]}, geometry=squares(2), crs=UTM)
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="attribute 'number' of layer 'a' .* holds lists, which are no classes"):
        read_features(tmp_path / "a.parquet", attribute="number", classes={"1": 1})


@pytest.mark.parametrize(
    ("text", "encoding"), [("\u0158eka", "cp1250"), ("\u0440\u0435\u043a\u0430", "cp866"), ("\u68ee\u6797", "gbk")]
)
def test_the_encoding_that_gives_the_keys_is_suggested_and_works(tmp_path, text, encoding):
    path = tmp_path / "a.shp"
    geopandas.GeoDataFrame({"number": [text]}, geometry=squares(1), crs=UTM).to_file(path, encoding=encoding)
    path.with_suffix(".cpg").unlink()
    with pytest.raises(InputError) as caught:
        read_features(path, attribute="number", classes={text: 1})
    suggested = re.search(r"set labels.encoding to (\S+)$", str(caught.value))[1]
    features = read_features(path, attribute="number", classes={text: 1}, encoding=suggested, all_touched=False)
    assert burn_tile(features)[31, 0] == 1
