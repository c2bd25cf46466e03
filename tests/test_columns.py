"""Rows in columns against lists of the same rows."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from segchips.columns import Rows


@dataclass(frozen=True)
class Fruit:
    name: str
    weight: float | None
    ripe: bool


SCHEMA = pa.schema([("name", pa.string()), ("weight", pa.float64()), ("ripe", pa.bool_())])
FRUITS = [Fruit("apple" if n % 3 else "pear", None if n % 5 == 0 else n / 4, n % 2 == 0) for n in range(50)]


def test_rows_are_a_sequence_of_what_they_were_made_from():
    rows = Rows.of(Fruit, FRUITS, SCHEMA)
    assert rows == FRUITS and list(rows) == FRUITS and len(rows) == 50
    assert rows[3] == FRUITS[3] and rows[-1] == FRUITS[-1] and rows[5:20:3] == FRUITS[5:20:3]
    assert rows != FRUITS[:-1] and Rows.of(Fruit, [], SCHEMA) == []
    assert Rows.of(Fruit, rows, SCHEMA) is rows


def test_rows_are_chosen_counted_and_replaced():
    rows = Rows.of(Fruit, FRUITS, SCHEMA)
    assert rows.where(rows.values("ripe")) == [fruit for fruit in FRUITS if fruit.ripe]
    assert rows.where(np.array([7, 2, 7])) == [FRUITS[7], FRUITS[2], FRUITS[7]]
    assert rows.counts("name") == Counter(fruit.name for fruit in FRUITS)
    assert rows.counts("name", "weight") == Counter((fruit.name, fruit.weight) for fruit in FRUITS)
    names = [f"{fruit.name} {number}" for number, fruit in enumerate(FRUITS)]
    expected = [replace(fruit, name=name) for fruit, name in zip(FRUITS, names, strict=True)]
    assert rows.replaced(name=pa.array(names)) == expected
