from hypothesis import given
from hypothesis import strategies as st

from segchips.remote.byte_ranges import ByteRanges, merge_ranges

RANGE = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(RANGE), RANGE)
def test_ranges_are_sets_of_bytes(added, wanted):
    ranges, held = ByteRanges(added), {byte for each in added for byte in range(*each)}
    assert {byte for each in ranges for byte in range(*each)} == held
    missing = ranges.missing(wanted)
    assert {byte for each in missing for byte in range(*each)} == set(range(*wanted)) - held
    pairs = list(ranges)
    assert all(first[1] < second[0] for first, second in zip(pairs, pairs[1:], strict=False))


@given(st.lists(RANGE.filter(lambda each: each[0] < each[1])), st.integers(0, 5), st.integers(12, 40))
def test_merged_ranges_cover_all_and_stay_within_gap_and_limit(ranges, gap, limit):
    merged = merge_ranges(ranges, gap, limit)
    held = {byte for each in ranges for byte in range(*each)}
    covered = [byte for each in merged for byte in range(*each)]
    assert held <= set(covered) and all(stop - start <= limit for start, stop in merged)
    runs = sorted(set(covered) - held)
    assert all(any(byte + step in held for step in range(-gap, 0)) for byte in runs)
