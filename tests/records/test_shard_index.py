"""The index of a shard, read as entries and as columns."""

from pathlib import Path

import pytest

from segchips.errors import RecordError
from segchips.records.shard_index import IndexEntry, parse_scenes, read_index, read_index_columns, write_index

ENTRIES = [
    IndexEntry("60:2:10.0:33:0:8500", "made", "", 0.1 + 0.2, 0, 77, ("2023-05-01T10:00:00Z",) * 2, (("s2", "a,b"),)),
    IndexEntry("60:2:10.0:33:1:8500", "made", "", None, 77, 80),
    IndexEntry("chip", "rejected", 'two\nlines, a "quote"', None),
    IndexEntry("null", "below min_valid", "nan", 0.0, None, None, (), (("s2", "x"), ("s2", "y"))),
]


def test_columns_hold_what_the_entries_hold(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for path, part in zip(paths, (ENTRIES[:3], [], ENTRIES[3:]), strict=True):
        write_index(path, part)
    names = ["reason", "tile", "valid", "offset", "length", "acquired", "scenes", "state"]
    rows = read_index_columns(paths, names).to_pylist()
    texts = {"acquired": lambda text: tuple(text.split()), "scenes": parse_scenes}
    found = [
        IndexEntry(**{key: texts.get(key, lambda value: value)(value) for key, value in row.items()}) for row in rows
    ]
    assert found == ENTRIES == [entry for path in paths for entry in read_index(path)]


@pytest.mark.parametrize(
    "content", [None, "", "tile,state\n", "tile,state,valid\na,made,much\n", "tile,state,valid\na\n"]
)
def test_an_index_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "train.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecordError, match=r"train\.csv cannot be read as the index of a shard"):
        read_index_columns([path], ["tile", "state", "valid"])
