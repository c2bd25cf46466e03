"""Names and paths of the files of a dataset of shards.

An index, the pixel counts and the provenance lie beside their shard and are named after it.
"""

from pathlib import Path

STATISTICS_FILE = "statistics.json"


def shard_name(dataset: str, split: str, shard: int, shards: int) -> str:
    """The file name of shard number `shard` (from 0) of `shards`."""
    return f"{dataset}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def index_name(dataset: str, split: str, shard: int, shards: int) -> str:
    """The file name of the index of shard number `shard` (from 0) of `shards`."""
    return f"{dataset}-{split}.index-{shard:05d}-of-{shards:05d}.csv"


def index_path(shard: Path) -> Path:
    """The path of a shard's index."""
    return shard.with_name(f"{shard.name.replace('.tfrecord-', '.index-')}.csv")


def shard_path(index: Path) -> Path:
    """The path of the shard that an index describes."""
    return index.with_name(index.name.removesuffix(".csv").replace(".index-", ".tfrecord-"))


def counts_path(index: Path) -> Path:
    """The path of the pixel counts of the shard that an index describes."""
    return index.with_name(index.name.removesuffix(".csv").replace(".index-", ".statistics-") + ".npz")


def provenance_path(index: Path) -> Path:
    """The path of the hidden file that says what the shard of an index was made from."""
    return index.with_name(f".{index.name.removesuffix('.csv').replace('.index-', '.sources-')}.json")
