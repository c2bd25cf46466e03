"""Coverage-guided fuzzing of what reads files: records, what they hold, indices, scene locks.

Needs atheris: pip install atheris, then python tests/soak/fuzz.py SECONDS [SEED]; each reader gets SECONDS. A reader
may refuse what it is given only with an error that users see; anything else, a hang or too much memory ends this with
the input.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

with atheris.instrument_imports(include=["segchips"]):
    from segchips.errors import SegchipsError
    from segchips.records.dataset_files import read_info
    from segchips.records.file_names import index_path
    from segchips.records.record_decoding import decode_example
    from segchips.records.shard_index import read_index
    from segchips.records.tfrecord import read_records
    from segchips.scenes.lock import lock_digest, read_locks, write_locks

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from support.fuzz_inputs import small_scene_lock, write_small_dataset  # noqa: E402

COMPRESSIONS = (None, "GZIP", "ZLIB")


def records(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """The first byte chooses the compression, the others are the shard."""
    path, seeds = folder / "shard", []
    for number, compression in enumerate(COMPRESSIONS):
        (folder / str(number)).mkdir()
        seeds.append(bytes([number]) + write_small_dataset(folder / str(number), compression).read_bytes())

    def run(data: bytes) -> None:
        path.write_bytes(data[1:])
        try:
            found = list(read_records(path, COMPRESSIONS[data[0] % 3] if data else None))
        except SegchipsError:
            return
        assert data[:1] not in (b"", b"\0") or sum(len(record) + 16 for record in found) == len(data[1:])

    return seeds, run


def examples(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """Payloads whose checksums are right, read as raw arrays."""
    shard = write_small_dataset(folder, None)
    info = read_info(shard.parent)

    def run(data: bytes) -> None:
        try:
            example = decode_example(data, info)
        except SegchipsError:
            return
        assert (example["image"].shape, example["label"].shape) == (info.image.shape, info.label.shape)

    return list(read_records(shard)), run


def indices(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """The CSV file beside a shard."""
    path, content = folder / "index.csv", index_path(write_small_dataset(folder, None)).read_bytes()

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read_index(path)
        except SegchipsError:
            return

    return [content], run


def locks(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """The assets of a lock, as somebody would forge them: with the right checksum."""
    path = folder / "scenes.parquet"
    write_locks(path, {"": small_scene_lock()})
    table = pq.read_table(path)
    place, metadata = table.schema.get_field_index("assets"), dict(table.schema.metadata)
    (assets, *_), about = table["assets"].to_pylist(), json.loads(metadata[b"segchips"])
    del about["digest"]

    def run(data: bytes) -> None:
        text = pa.array([data.decode(errors="replace")] * len(table))
        forged = table.set_column(place, "assets", text)
        checksum = lock_digest(about, forged)
        said = {b"segchips": json.dumps(about | {"digest": checksum}).encode()}
        pq.write_table(forged.replace_schema_metadata(metadata | said), path)
        try:
            found = read_locks(path)[""]
        except SegchipsError:
            return
        assert len(found.scenes) == len(table)

    return [assets.encode()], run


READERS = {"records": records, "examples": examples, "indices": indices, "locks": locks}


def fuzz(reader: str, seconds: str, seed: str) -> None:
    """Give one reader changed files until the time is up; ends the process."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        corpus = Path(name) / "corpus"
        corpus.mkdir()
        seeds, run = READERS[reader](Path(name))
        for number, content in enumerate(seeds):
            (corpus / str(number)).write_bytes(content)
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=3000", "-max_len=4096", "-verbosity=1"]
        atheris.Setup([sys.argv[0], *limits, f"-seed={seed}", f"-artifact_prefix={name}/", str(corpus)], run)
        atheris.Fuzz()


def main(seconds: str, seed: str = "1") -> None:
    for reader in READERS:
        ran = subprocess.run([sys.executable, __file__, reader, seconds, seed], text=True, stderr=subprocess.PIPE)
        if ran.returncode:
            sys.exit(f"{reader}, seed {seed}:\n{ran.stderr[-6000:]}")
        told = [line for line in ran.stderr.splitlines() if line.startswith("Done ")]
        print(f"{reader}, seed {seed}: {told[-1]}", flush=True)


if __name__ == "__main__":
    fuzz(*sys.argv[1:]) if sys.argv[1] in READERS else main(*sys.argv[1:])
