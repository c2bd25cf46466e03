"""Damaged scene locks: an error that names the file, or what was written."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from segchips.errors import InputError
from segchips.scenes.lock import read_locks, write_locks
from support.fuzz_inputs import ROUNDS, SEED, damaged_copy, small_scene_lock


def test_a_damaged_scene_lock_is_an_error_or_says_what_it_said(tmp_path):
    path, draws = tmp_path / "scenes.parquet", random.Random(SEED)
    write_locks(path, {"": small_scene_lock()})
    right, content = read_locks(path)[""], path.read_bytes()
    outcomes = {"named": 0, "same": 0}
    for _ in range(3 * ROUNDS):
        path.write_bytes(damaged_copy(draws, content))
        try:
            found = read_locks(path)[""]
        except InputError as error:
            assert str(error).startswith(f"{path}: not a scene lock") and "\n" not in str(error)
            outcomes["named"] += 1
        else:
            assert found == right and [s.footprint for s in found.scenes] == [s.footprint for s in right.scenes]
            outcomes["same"] += 1
    assert outcomes["named"] > ROUNDS


def test_a_scene_lock_that_somebody_has_edited_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    write_locks(path, {"": small_scene_lock()})
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(InputError, match="not a scene lock"):
        read_locks(path)[""]
