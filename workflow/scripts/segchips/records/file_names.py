"""TODO: describe."""

from pathlib import Path

STATISTICS_FILE = "statistics.json"


def shard_name(dataset: str, split: str, shard: int, shards: int) -> str:
    """The file name of shard number `shard` (from 0) of `shards`."""
    return f"{dataset}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def index_name(dataset: str, split: str, shard: int, shards: int) -> str:
    """The file name of the index of shard number `shard` (from 0) of `shards`."""
    return f"{dataset}-{split}.index-{shard:05d}-of-{shards:05d}.csv"


def shard_path(index: Path) -> Path:
    """The shard that an index describes."""
    return index.with_name(index.name.removesuffix(".csv").replace(".index-", ".tfrecord-"))


def counts_path(index: Path) -> Path:
    """The tally of the shard that an index describes."""
    return index.with_name(index.name.removesuffix(".csv").replace(".index-", ".statistics-") + ".npz")


def index_path(shard: Path) -> Path:
    """The index of a shard."""
    return shard.with_name(f"{shard.name.replace('.tfrecord-', '.index-')}.csv")
