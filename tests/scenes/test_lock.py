"""lock.py: the lock file, and files that are not a lock."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import geopandas
import pyarrow.parquet as pq
import pytest
import pytz
import shapely

from segchips.errors import InputError
from segchips.scenes.lock import lock_digest, read_locks, write_locks
from segchips.scenes.pinning import SceneLock
from support.scenes import QUERY, full_lock


def plain(lock):
    """A lock without what NaN hides from comparison."""
    return repr(
        (
            lock.query,
            [(each.product, each.id, each.acquired, each.cloud, each.assets, each.footprint) for each in lock.scenes],
            sorted(lock.tiles.items()),
        )
    )


def test_a_lock_survives_writing_and_reading(tmp_path):
    write_locks(tmp_path / "scenes.parquet", {"": full_lock()})
    back = read_locks(tmp_path / "scenes.parquet")[""]
    assert plain(back) == plain(full_lock())
    assert [each.pin for each in back.scenes] == [each.pin for each in full_lock().scenes]
    assert all(each.acquired.tzinfo is UTC for each in back.scenes)


def test_the_same_lock_gives_the_same_bytes_and_no_other_file(tmp_path):
    write_locks(tmp_path / "a.parquet", {"": full_lock()})
    shuffled = SceneLock(QUERY.text, full_lock().scenes, dict(reversed(full_lock().tiles.items())))
    write_locks(tmp_path / "b.parquet", {"": shuffled})
    write_locks(tmp_path / "c.parquet", {"": read_locks(tmp_path / "a.parquet")[""]})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]


def test_scenes_without_a_tile_are_not_kept(tmp_path):
    lock = SceneLock(QUERY.text, full_lock().scenes, {"t": (2,)})
    write_locks(tmp_path / "a.parquet", {"": lock})
    back = read_locks(tmp_path / "a.parquet")[""]
    assert [each.product for each in back.scenes] == ["masks"] and back.tiles == {"t": (0,)}


def test_geopandas_opens_the_lock(tmp_path):
    write_locks(tmp_path / "scenes.parquet", {"": full_lock()})
    table = geopandas.read_parquet(tmp_path / "scenes.parquet")
    assert table["scene"].tolist() == ["ä b/c", "b", "b"] and table.crs == "OGC:CRS84"
    assert table.geometry.iloc[1].equals(shapely.box(0, 0, 1, 1))
    assert table["acquired"].iloc[0].isoformat() == "2017-06-01T10:00:00.123456+00:00"
    assert math.isnan(table["cloud"].iloc[0]) and table["tiles"].iloc[1].tolist() == ["t0", "t1"]


def damaged(tmp_path, change):
    path = tmp_path / "scenes.parquet"
    write_locks(path, {"": full_lock()})
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["assets"]),
        lambda table: table.replace_schema_metadata(None),
        lambda table: table.replace_schema_metadata({"segchips": "{}"}),
        lambda table: table.replace_schema_metadata({"segchips": "no json"}),
        lambda table: table.set_column(4, "assets", [["{", "{", "{"]]),
        lambda table: table.set_column(4, "assets", [["[]", "[]", "[]"]]),
        lambda table: table.set_column(4, "assets", [['{"a": {"href": 1}}'] * 3]),
        lambda table: table.set_column(4, "assets", [[None] * 3]),
        lambda table: table.set_column(2, "acquired", [["yesterday"] * 3]),
        lambda table: table.set_column(2, "acquired", [[None] * 3]),
        lambda table: table.set_column(5, "tiles", [[None] * 3]),
    ],
)
def test_a_file_that_is_not_a_lock_is_named(tmp_path, change):
    with pytest.raises(InputError, match=r"scenes\.parquet: not a scene lock .*delete it and run again"):
        read_locks(damaged(tmp_path, change))[""]


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_lock_is_named(tmp_path, share):
    path = damaged(tmp_path, lambda table: table)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"scenes\.parquet: not a scene lock"):
        read_locks(path)[""]


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("UTC"), pytz.utc])
def test_the_digest_is_the_same_with_every_release_of_pyarrow(zone):
    columns = {"acquired": [datetime(2017, 7, 1, 10, 0, 31, tzinfo=zone)], "scene": ["a"], "cloud": [0.1]}
    assert lock_digest({"query": "q"}, columns) == "78a6fec8dd06c72c"
