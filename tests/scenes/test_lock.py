"""lock.py: the lock file, and files that are not a lock."""

import hashlib
import math
import struct
from datetime import UTC, datetime

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
    shuffled = SceneLock.of(QUERY.text, full_lock().scenes, dict(reversed(list(full_lock().tiles.items()))))
    write_locks(tmp_path / "b.parquet", {"": shuffled})
    write_locks(tmp_path / "c.parquet", {"": read_locks(tmp_path / "a.parquet")[""]})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]


def test_scenes_without_a_tile_are_not_kept(tmp_path):
    lock = SceneLock.of(QUERY.text, full_lock().scenes, {"t": (2,)})
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


def as_bytes(*parts):
    """What a digest of these parts hashes: the length of each, and its bytes."""
    texts = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


def text_bytes(values):
    known = [value.encode() for value in values if value is not None]
    lengths = b"".join(len((value or "").encode()).to_bytes(8, "little") for value in values)
    return lengths, b"".join(known)


def test_the_digest_covers_all_values_however_arrow_stores_them():
    keys, lists = ["a", "b", "c"], [["a", "c"], [], ["b", "c", "a"]]
    numbers = pa.array([keys.index(key) for some in lists for key in some], pa.int32())
    as_numbers = pa.ListArray.from_arrays([0, 2, 2, 5], pa.DictionaryArray.from_arrays(numbers, keys))
    moment = datetime(2017, 7, 1, 10, 0, 31, tzinfo=UTC)
    columns = {
        "scene": ["x", None, "äz"],
        "acquired": pa.array([moment] * 3, pa.timestamp("us", "UTC")),
        "cloud": pa.array([0.1, None, 1.0], pa.float64()),
    }
    microseconds = (int(moment.timestamp()) * 1_000_000).to_bytes(8, "little")
    expected = as_bytes(
        *('{"query": "q"}', "acquired", b"timestamp[us, tz=UTC]", b"\1\1\1", microseconds * 3),
        *("cloud", b"double", b"\1\0\1", struct.pack("<3d", 0.1, 0, 1)),
        *("scene", b"string", b"\1\0\1", *text_bytes(["x", None, "äz"])),
        *("tiles", b"string", b"\1\1\1", *(part for some in lists for part in text_bytes(some))),
    )
    digest = hashlib.blake2b(expected, digest_size=8).hexdigest()
    for tiles in (as_numbers, pa.array(lists, pa.list_(pa.string()))):
        table = pa.table(columns | {"tiles": tiles})
        assert lock_digest({"query": "q"}, table) == digest
        assert lock_digest({"query": "q"}, pa.concat_tables([table, table]).slice(3)) == digest
    binary = table.set_column(table.column_names.index("scene"), "scene", table["scene"].cast(pa.binary()))
    assert lock_digest({"query": "q"}, binary) != digest
