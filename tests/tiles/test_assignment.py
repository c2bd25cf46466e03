"""Splits and shards by a hash of the key."""

import hashlib

import numpy as np

from segchips.tiles.assignment import shard_of, split_of


def test_splits_have_their_shares_and_shards_are_even():
    keys = [f"60:2:10.0:33:{path}:{row}" for path in range(100) for row in range(100)]
    drawn = [split_of(key, {"train": 8, "val": 1, "test": 1}) for key in keys]
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert abs(drawn.count(split) / 10_000 - share) < 4 * np.sqrt(share * (1 - share) / 10_000)
    counts = np.bincount([shard_of(key, 7) for key in keys], minlength=7)
    assert len(counts) == 7 and np.abs(counts - 10_000 / 7).max() < 4 * np.sqrt(10_000 / 7)
    train = np.bincount([shard_of(key, 7) for key, split in zip(keys, drawn, strict=True) if split == "train"])
    assert np.abs(train - train.mean()).max() < 4 * np.sqrt(train.mean())


def test_a_tiles_split_is_where_its_hash_falls_among_the_shares():
    for path in range(200):
        key = f"60:2:10.0:33:{path}:1"
        at = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, salt=b"split").digest(), "little") / 2**64
        assert split_of(key, {"a": 2, "none": 0, "b": 1, "c": 1}) == ("a" if at < 0.5 else "b" if at < 0.75 else "c")
        assert split_of(key, {"only": 0.3, "none": 0}) == "only"
