"""composite.py against one pixel at a time in exact rational arithmetic."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segchips.chips.composite import closest, mean, median

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32"]
FLOATS = ["float32", "float64"]
SHAPE = (2, 3, 4)


def random_layers(rng, dtype, count, clear):
    """Layers of the whole range of a dtype, its limits often among them; NaN and infinity where invalid."""
    dtype = np.dtype(dtype)
    layers = []
    for _ in range(count):
        valid = rng.random(SHAPE) < clear
        if dtype.kind == "f":
            pixels = (rng.integers(-4096, 4096, SHAPE) / 64).astype(dtype)
            pixels[~valid] = rng.choice([np.nan, np.inf, -np.inf, 7], SHAPE)[~valid]
        else:
            limits = np.iinfo(dtype)
            pixels = rng.integers(limits.min, limits.max, SHAPE, dtype, endpoint=True)
            edge = rng.random(SHAPE) < 0.3
            pixels[edge] = rng.choice([limits.min, limits.min + 1, limits.max - 1, limits.max], SHAPE)[edge]
        layers.append((pixels, valid))
    return layers


def by_pixel(layers, function):
    """A function of the list of a pixel's valid values, in order; None where there is none."""
    found = {}
    for place in np.ndindex(layers[0][0].shape):
        values = [pixels[place].item() for pixels, valid in layers if valid[place]]
        found[place] = function(values) if values else None
    return found


def exact_mean(values):
    return sum(map(Fraction, values)) / len(values)


def exact_median(values):
    ordered = sorted(map(Fraction, values))
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def assert_same(result, expected, dtype, layers):
    pixels, valid, used = result
    assert pixels.dtype == dtype and valid.dtype == bool
    assert used == {number: mask.sum() for number, (_, mask) in enumerate(layers) if mask.any()}
    for place, value in expected.items():
        assert valid[place] == (value is not None)
        if value is not None:
            # round() of a Fraction rounds half to even
            right = round(value) if np.dtype(dtype).kind in "iu" else np.dtype(dtype).type(float(value))
            assert pixels[place] == right, (place, value)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 40])
def test_median_and_mean_by_pixel(dtype, count):
    rng = np.random.default_rng([count, *dtype.encode()])
    layers = random_layers(rng, dtype, count, clear=rng.choice([0.15, 0.5, 0.9, 1.0]))
    before = [(pixels.copy(), valid.copy()) for pixels, valid in layers]
    with np.errstate(all="raise", under="ignore"):
        assert_same(median(layers), by_pixel(layers, exact_median), dtype, layers)
        assert_same(mean(layers), by_pixel(layers, exact_mean), dtype, layers)
    for (pixels, valid), (old, mask) in zip(layers, before, strict=True):
        np.testing.assert_array_equal(pixels, old)
        np.testing.assert_array_equal(valid, mask)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_closest_by_pixel(dtype):
    rng = np.random.default_rng(7)
    for count in (1, 2, 5, 40):
        layers = random_layers(rng, dtype, count, 0.3)
        expected = by_pixel(layers, lambda values: values[0])
        origin = np.full(layers[0][0].shape, -1, np.int16)
        pixels, valid, used = closest(iter(layers), origin)
        assert pixels.dtype == dtype
        for place, value in expected.items():
            assert valid[place] == (value is not None)
            assert value is None or pixels[place] == value
        first = {
            place: min(number for number, (_, mask) in enumerate(layers) if mask[place])
            for place, value in expected.items()
            if value is not None
        }
        assert used == Counter(first.values()) and list(used) == sorted(used)
        assert {place: origin[place] for place in first} == first
        assert (origin[~valid] == -1).all()


def test_closest_draws_no_layer_that_it_does_not_need():
    left, right = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    left[..., :2], right[..., 2:] = True, True
    one, two = np.full(SHAPE, 1, np.uint8), np.full(SHAPE, 2, np.uint8)

    def layers():
        yield one, left
        yield one, left
        yield two, right
        raise AssertionError("everything was found already")

    pixels, valid, used = closest(layers())
    assert valid.all() and used == {0: left.sum(), 2: right.sum()}
    np.testing.assert_array_equal(pixels, np.where(left, one, two))


def test_closest_leaves_its_layers_alone():
    layers = [(np.full(SHAPE, n, np.int16), np.random.default_rng(n).random(SHAPE) < 0.4) for n in range(4)]
    before = [(pixels.copy(), valid.copy()) for pixels, valid in layers]
    closest(layers)
    for (pixels, valid), (old, mask) in zip(layers, before, strict=True):
        np.testing.assert_array_equal(pixels, old)
        np.testing.assert_array_equal(valid, mask)


@pytest.mark.parametrize("kind", [closest, median, mean])
def test_without_any_valid_pixel_nothing_is_valid_or_used(kind):
    layers = [(np.full(SHAPE, np.nan, np.float32), np.zeros(SHAPE, bool)) for _ in range(3)]
    with np.errstate(all="raise"):
        _, valid, used = kind(layers)
    assert not valid.any() and used == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 1], 0), ([1, 2], 2), ([2, 3], 2), ([3, 4], 4), ([-1, 0], 0), ([-2, -1], -2), ([-3, -2], -2), ([-4, -3], -4)],
)
def test_halves_go_to_the_even_neighbour(values, expected):
    layers = [(np.full((1, 1, 1), value, np.int16), np.ones((1, 1, 1), bool)) for value in values]
    assert median(layers)[0].item() == mean(layers)[0].item() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
def test_limits_of_the_dtype_do_not_overflow(dtype):
    limits = np.iinfo(dtype)
    for value in (limits.min, limits.max):
        layers = [(np.full(SHAPE, value, dtype), np.ones(SHAPE, bool)) for _ in range(40)]
        assert (median(layers)[0] == value).all() and (mean(layers)[0] == value).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_middle_of_huge_floats_is_finite(dtype):
    top = np.finfo(dtype).max
    layers = [(np.full(SHAPE, top * factor, dtype), np.ones(SHAPE, bool)) for factor in (0.5, 1)]
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(median(layers)[0], np.full(SHAPE, top * 0.75, dtype))


def test_the_mean_of_many_32_bit_floats_is_that_of_their_64_bit_sum():
    rng = np.random.default_rng(1)
    values = rng.random(40).astype(np.float32) * 1e4
    layers = [(np.full((1, 1, 1), value, np.float32), np.ones((1, 1, 1), bool)) for value in values]
    assert mean(layers)[0].item() == pytest.approx(math.fsum(values.tolist()) / 40, rel=1e-7)


@st.composite
def stacks(draw):
    dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
    limits = np.iinfo(dtype)
    value = st.one_of(st.integers(limits.min, limits.max), st.sampled_from([limits.min, 0, 1, limits.max]))
    rows = draw(st.lists(st.lists(st.tuples(value, st.booleans()), min_size=3, max_size=3), min_size=1, max_size=40))
    return dtype, [
        (
            np.array([[[value for value, _ in row]]], dtype),
            np.array([[[valid for _, valid in row]]], bool),
        )
        for row in rows
    ]


@settings(max_examples=150, deadline=None)
@given(stacks())
def test_any_stack_by_pixel(stack):
    dtype, layers = stack
    assert_same(median(layers), by_pixel(layers, exact_median), dtype, layers)
    assert_same(mean(layers), by_pixel(layers, exact_mean), dtype, layers)


@pytest.mark.parametrize("kind", [median, mean])
def test_the_order_of_integer_layers_does_not_matter(kind):
    layers = random_layers(np.random.default_rng(3), "int16", 9, 0.6)
    forward, backward = kind(layers), kind(layers[::-1])
    np.testing.assert_array_equal(forward[1], backward[1])
    np.testing.assert_array_equal(forward[0][forward[1]], backward[0][forward[1]])


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_means_of_64_bits_are_exact(dtype):
    rng, limits = np.random.default_rng(5), np.iinfo(dtype)
    shape = (1, 20, 20)
    edges = np.array([limits.min, limits.min + 1, 2, 3, limits.max - 1, limits.max], dtype)
    random = [rng.integers(limits.min, limits.max, shape, dtype, endpoint=True) for _ in range(4)]
    planes = [*random[:2], *(edges[rng.integers(0, len(edges), shape)] for _ in range(3))]
    scenes = [(plane, rng.random(shape) < 0.6) for plane in planes]
    pixels, valid, _ = mean(scenes)
    for place in np.ndindex(shape):
        values = [int(plane[place]) for plane, is_valid in scenes if is_valid[place]]
        assert valid[place] == bool(values)
        assert not values or int(pixels[place]) == round(Fraction(sum(values), len(values)))
    assert pixels.dtype == dtype
