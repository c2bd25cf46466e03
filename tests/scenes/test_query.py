"""query.py: the order of scenes, and what changes a query."""

import itertools
import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from segchips.scenes.model import parse_time
from segchips.scenes.query import SceneQuery, closest_order, natural_order
from support.datasets import make_dataset
from support.scenes import scene

# Order.


def slow_rank(acquired, reference):
    """Whole days by the calendar, then seconds from the reference day's midnight."""
    day = date(acquired.year, acquired.month, acquired.day)
    days = 0
    while day + timedelta(days) != reference and day - timedelta(days) != reference:
        days += 1
    midnight = datetime(reference.year, reference.month, reference.day, tzinfo=UTC)
    return days, abs((acquired - midnight).total_seconds())


def test_closest_counts_calendar_days_then_hours_then_ids():
    reference = date(2017, 1, 5)
    times = [
        "2017-01-05T23:59:59Z",
        "2017-01-05T00:00:00Z",
        "2017-01-04T00:00:00Z",
        "2017-01-04T23:59:59Z",
        "2017-01-06T00:00:01Z",
        "2017-01-06T23:00:00Z",
        "2017-01-03T12:00:00Z",
        "2017-01-07T12:00:00Z",
        "2016-12-31T23:59:59.999Z",
        "2017-01-06T01:30:00+02:00",
    ]
    scenes = [scene(f"{name}{when}", when) for when in times for name in "ba"]
    expected = [each.id for each in sorted(scenes, key=lambda each: (*slow_rank(each.acquired, reference), each.id))]
    midnight = datetime(2017, 1, 5, tzinfo=UTC)
    rng = np.random.default_rng(0)
    for _ in range(20):
        shuffled = [scenes[index] for index in rng.permutation(len(scenes))]
        assert [each.id for each in closest_order(shuffled, midnight)] == expected
    # the day counts before the hours: a late scene of the reference day comes before an early one of the next
    assert expected[:6] == [
        "a2017-01-05T00:00:00Z",
        "b2017-01-05T00:00:00Z",
        "a2017-01-06T01:30:00+02:00",
        "b2017-01-06T01:30:00+02:00",
        "a2017-01-05T23:59:59Z",
        "b2017-01-05T23:59:59Z",
    ]


def test_natural_order_is_by_time_then_id():
    scenes = [
        scene("b", "2017-01-01T00:00:00Z"),
        scene("a", "2017-01-01T00:00:00Z"),
        scene("c", "2016-01-01T00:00:00Z"),
    ]
    for some in itertools.permutations(scenes):
        assert [each.id for each in natural_order(some)] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-01-05T10:20:30Z", (2017, 1, 5, 10, 20, 30)),
        ("2017-01-05T10:20:30.123Z", (2017, 1, 5, 10, 20, 30, 123000)),
        ("2017-01-05T10:20:30.123456789Z", (2017, 1, 5, 10, 20, 30, 123456)),
        ("2017-01-05T01:20:30+02:30", (2017, 1, 4, 22, 50, 30)),
        ("2017-01-05T10:20:30", (2017, 1, 5, 10, 20, 30)),
        ("2017-01-05t10:20:30z", (2017, 1, 5, 10, 20, 30)),
    ],
)
def test_times_are_utc(text, expected):
    assert parse_time(text) == datetime(*expected, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "changes_text"),
    [
        ({"max_cloud": 0.2}, True),
        ({"start": "2017-01-02"}, True),
        ({"end": "2018-12-31"}, True),
        ({"catalog": "other.json"}, True),
        ({"products": [{"id": "s1", "bands": ["B1"]}]}, True),
        ({"cloud_mask": {"product": "masks", "band": "m", "clear": [0]}}, True),
        ({"cloud_mask": {"asset": "m", "clear": [0]}}, False),
        ({"composite": "median"}, False),
        ({"reference_date": "2017-01-01"}, False),
        ({"min_valid": 0.5}, False),
        ({"products": [{"id": "s2", "bands": ["B2"], "resampling": "cubic", "nodata": 7}]}, False),
    ],
)
def test_the_query_changes_with_the_search(change, changes_text):
    usual, other = (SceneQuery.of(make_dataset(imagery=imagery).imagery.first) for imagery in ({}, change))
    assert (usual.text != other.text) == changes_text
    assert json.loads(usual.text)["products"] == ["s2"]
