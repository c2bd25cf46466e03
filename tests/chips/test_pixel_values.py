"""pixel_values.py on arrays: cloud masks of every dtype that a raster can hold."""

import math

import numpy as np
import pytest

from segchips.chips.pixel_values import is_clear
from segchips.config.imagery import BitField, CloudMask

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


def mask(**how):
    return CloudMask(asset="m", **how)


@pytest.mark.parametrize("dtype", [*INTEGERS, "float32", "float64"])
@pytest.mark.parametrize("bits", [(0,), (1, 3), (7,), (31,)])
def test_bits_of_any_dtype_are_tested_one_value_at_a_time(dtype, bits):
    limits = np.iinfo(dtype) if dtype in INTEGERS else np.iinfo("int32")
    values = np.array([limits.min, limits.min // 2, 0, 1, 2, 5, 10, limits.max // 2], dtype)
    expected = [not any(int(value) % 2**64 >> bit & 1 for bit in bits) for value in values]
    assert is_clear(values, mask(bits=bits)).tolist() == expected


@pytest.mark.parametrize("dtype", [*INTEGERS, "float32", "float64"])
@pytest.mark.parametrize(("bits", "clear"), [((0, 1), (0, 3)), ((4, 5, 6), (1, 6)), ((7,), (1,))])
def test_fields_of_any_dtype_are_numbers_in_neighbouring_bits(dtype, bits, clear):
    limits = np.iinfo(dtype) if dtype in INTEGERS else np.iinfo("int32")
    values = np.array([*range(min(200, limits.max)), limits.max // 2, limits.min, limits.min // 3], dtype)
    field = BitField(bits, clear)
    expected = []
    for value in values:
        word = f"{int(value) % 2**64:064b}"[::-1]
        expected.append(sum(2**place * (word[bit] == "1") for place, bit in enumerate(bits)) in clear)
    assert is_clear(values, mask(fields=(field,))).tolist() == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_clear_values_outside_the_dtype_match_nothing(dtype):
    values = np.array([0, 1, 4], dtype)
    assert is_clear(values, mask(clear=(-1, 4, 300))).tolist() == [False, False, True]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_float_that_is_no_flag_word_is_not_clear(dtype):
    values = np.array([math.nan, math.inf, -math.inf, 1e30, -1e30, 8.0, 7.0], dtype)
    with np.errstate(all="raise"):
        assert is_clear(values, mask(bits=(3,))).tolist() == [False] * 6 + [True]
