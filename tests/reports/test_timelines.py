"""The report's table of scenes and timelines against the pinned scenes."""

from datetime import date

import pytest

from segchips.reports.timelines import day_ticks
from segchips.tiles.assignment import MADE
from support.report_results import SCENES, TILES, pinned_scenes, used_scenes


def test_scenes_with_tiles_and_chips(page, results):
    _, rows = results
    scene_rows = page.tables["scenes"][1:]
    assert [row[0] for row in scene_rows] == ["<i>one</i>", "three", "two&2", "four", "m1"]
    for row in scene_rows:
        index = next(i for i, scene in enumerate(SCENES) if scene.id == row[0])
        tiles = sum(index in pinned_scenes(n) for n in range(len(TILES)))
        chips = sum(row[0] in used_scenes(n) for n in range(len(TILES)) if rows[n].state == MADE)
        cloud = SCENES[index].cloud
        assert row[1:4] == [
            SCENES[index].product,
            f"2017-06-{SCENES[index].acquired.day:02d} 10:30",
            "–" if cloud is None else f"{100 * cloud:.1f} %",
        ]
        assert row[4:6] == [str(tiles), "mask" if index == 0 else str(chips)]


def test_timeline_counts_each_tile_of_a_day_once(page, results):
    _, rows = results
    tiles = sum(2 in pinned_scenes(n) or 3 in pinned_scenes(n) for n in range(len(TILES)))
    chips = sum(bool({"two&2", "three"} & set(used_scenes(n))) for n in range(len(TILES)) if rows[n].state == MADE)
    assert f"2017-06-11: {tiles} tiles with a pinned scene, {chips} chips that use one" in page.titles()
    assert sum("tiles with a pinned scene" in title for title in page.titles()) == 3
    assert "three: " not in " ".join(page.titles())


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((2017, 6, 1), (2017, 6, 1)),
        ((2017, 6, 28), (2017, 8, 3)),
        ((2016, 12, 1), (2017, 2, 28)),
        ((2015, 3, 4), (2024, 1, 1)),
        ((1984, 1, 1), (2024, 12, 31)),
    ],
)
def test_day_ticks_are_few_ordered_and_inside(start, end):
    days = [day for day, _ in day_ticks(date(*start), date(*end))]
    assert 1 <= len(days) <= 9 and days == sorted(set(days))
    assert date(*start) <= days[0] and days[-1] <= date(*end)
