"""Folders of chips to shards, and shards to tensors, beside a plain converter and parser written here.

python tests/benchmarks/records.py [pairs]      6,000 pairs of each kind unless named; needs 4 GB for them
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

SHARDS, WORKERS, REPEATS = 12, 2, 3
KINDS = {"rgb": (256, 3, "uint8"), "bands": (64, 13, "uint16")}
USUAL = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
MODES = [("rgb", "array", 8), ("rgb", "encoded", 20), ("bands", "float", 20), ("bands", "array", 20)]


def steps(rng: np.random.Generator, size: int, step: int) -> np.ndarray[Any, Any]:
    """A random field of squares."""
    coarse = rng.normal(size=(size // step, size // step))
    return np.kron(coarse, np.ones((step, step)))


def make_pair(folder: Path, kind: str, number: int) -> None:
    """A chip that LZW compresses like a scene, and a label of a few classes."""
    import rasterio

    rng = np.random.default_rng(number)
    size, bands, dtype = KINDS[kind]
    ground = steps(rng, size, 16) * 20 + steps(rng, size, 4) * 6 + 110
    noise = rng.normal(size=(bands, size, size))
    image = ground + noise * 0.65 if dtype == "uint8" else ground * 20 + noise * 40
    label = (steps(rng, size, 32) > 0.3) + (steps(rng, size, 16) > 1) * 2
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000 + number * 10 * size, 0, -10, 5_000_000)}
    layout = {"compress": "lzw", "tiled": True, "blockxsize": size, "blockysize": size, "interleave": "pixel"}
    for name, array in (
        ("images", np.clip(image, 0, 255 if dtype == "uint8" else 10_000).astype(dtype)),
        ("labels", label[None].astype("uint8")),
    ):
        path = folder / kind / name / f"chip_{number:05d}.tif"
        size_and_type = {"height": size, "width": size, "count": len(array), "dtype": array.dtype}
        with rasterio.open(path, "w", driver="GTiff", **size_and_type, **place, **layout) as target:
            target.write(array)


def make_pairs(folder: Path, kind: str, numbers: range) -> None:
    for number in numbers:
        make_pair(folder, kind, number)


def make_chips(folder: Path, pairs: int) -> None:
    for kind in KINDS:
        for name in ("images", "labels"):
            (folder / kind / name).mkdir(parents=True)
    with get_context("spawn").Pool(WORKERS) as pool:
        parts = [(folder, kind, range(start, pairs, 20)) for kind in KINDS for start in range(20)]
        pool.starmap(make_pairs, parts)


def plain_record(image: Path, label: Path, storage: str) -> bytes:
    """What everybody writes: rasterio for the pixels, tf.train.Example for the record."""
    import rasterio
    import tensorflow as tf

    values, sizes, identifier = [], [], ""
    for path in (image, label):
        with rasterio.open(path) as source:
            array = np.moveaxis(source.read(), 0, -1) if storage != "encoded" else None
            sizes.append((source.height, source.width, source.count))
            identifier = identifier or f"{path.name}|{source.get_transform()}|{source.crs}"
        values.append(path.read_bytes() if array is None else array)

    def data(value: Any) -> Any:
        if storage == "float":
            return tf.train.Feature(float_list=tf.train.FloatList(value=value.ravel()))
        return text(value if isinstance(value, bytes) else value.tobytes())

    def text(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def number(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "image/image_data": data(values[0]),
        "image/height": number(sizes[0][0]),
        "image/width": number(sizes[0][1]),
        "image/channels": number(sizes[0][2]),
        "target/target_data": data(values[1]),
        "target/height": number(sizes[1][0]),
        "target/width": number(sizes[1][1]),
        "identifier": text(identifier.encode()),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def plain_shard(path: Path, pairs: list[tuple[Path, Path]], storage: str) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in pairs:
            writer.write(plain_record(image, label, storage))


def plain(folder: str, storage: str, out: str) -> None:
    """The plain converter, in processes of its own."""
    Path(out).mkdir()
    pairs = [(path, Path(folder) / "labels" / path.name) for path in sorted((Path(folder) / "images").iterdir())]
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        shards = [(Path(out) / f"plain-{n:05d}", pairs[n::SHARDS], storage) for n in range(SHARDS)]
        list(pool.map(plain_shard, *zip(*shards, strict=True)))


def ours(folder: str, storage: str, out: str) -> None:
    """The library call."""
    import segchips
    from segchips.config.tfrecords import TFRecordsConfig

    config = TFRecordsConfig(storage, SHARDS, None, {"train": 1.0})
    segchips.convert(f"{folder}/images", f"{folder}/labels", out, "bench", config, workers=WORKERS)


def timed(command: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds of a whole process with its children, and its largest memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=USUAL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def best(commands: dict[str, Callable[[str], list[str]]], out: str) -> dict[str, tuple[float, float, float]]:
    """Each command's best wall, CPU and memory of several turns taken in rotation; the outputs of the last are kept."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            shutil.rmtree(f"{out}-{name}", ignore_errors=True)
            found[name].append(timed(command(f"{out}-{name}")))
    return {name: tuple(map(min, zip(*turns, strict=True))) for name, turns in found.items()}  # type: ignore[misc]


def script(role: str, *arguments: str) -> Callable[[str], list[str]]:
    return lambda out: [sys.executable, __file__, role, *arguments, out]


def cat(folder: Path) -> Callable[[str], list[str]]:
    return lambda out: ["sh", "-c", f"find {folder} -name '*.tif' -print0 | sort -z | xargs -0 cat > {out}.cat"]


def compare_writing(folder: Path, pairs: int) -> None:
    print(f"\n{pairs} pairs, {SHARDS} shards, {WORKERS} workers; whole processes, best of {REPEATS} turns in rotation")
    columns = ("plain s", "CPU s", "MB", "ours s", "CPU s", "MB", "pairs/s", "times", "CPU", "goal")
    print(f"{'mode':14}" + "".join(f"{column:>8}" for column in columns))
    for kind, storage, goal in MODES:
        commands = {"plain": script("plain", str(folder / kind), "float" if kind == "bands" else storage)}
        commands["ours"] = script("ours", str(folder / kind), storage)
        if storage == "encoded":
            commands["cat"] = cat(folder / kind)
        result = best(commands, str(folder / f"{kind}-{storage}"))
        (wall, cpu, memory), (our_wall, our_cpu, our_memory) = result["plain"], result["ours"]
        figures = (wall, cpu, memory, our_wall, our_cpu, our_memory, pairs / our_wall, wall / our_wall, cpu / our_cpu)
        texts = (f"{figure:8.0f}" if figure >= 50 else f"{figure:8.2f}" for figure in figures)
        print(f"{kind + ' ' + storage:14}{''.join(texts)}{goal:8}")
        if "cat" in result:
            cat_wall = result["cat"][0]
            print(
                f"{'':14} cat of the same files {cat_wall:.2f} s: ours is {our_wall / cat_wall:.1f} times that, goal 4"
            )
        for path in folder.glob("rgb-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def compare_decoding(folder: str) -> None:
    """Conversion of RGB arrays beside nothing but the decoding of their LZW tiles, in CPU time of this process."""
    import imagecodecs
    import tifffile

    import segchips
    from segchips.config.tfrecords import TFRecordsConfig

    tiles = []
    for path in sorted(Path(folder).glob("*/*.tif")):
        with tifffile.TiffFile(path) as file:
            page, content = file.pages[0], path.read_bytes()
            tiles.append(
                (content[page.dataoffsets[0] :][: page.databytecounts[0]], page.tilewidth**2 * page.samplesperpixel)
            )

    def decode() -> None:
        for content, size in tiles:
            imagecodecs.lzw_decode(content, out=size)

    def convert() -> None:
        with tempfile.TemporaryDirectory() as out:
            config = TFRecordsConfig("array", SHARDS, None, {"train": 1.0})
            segchips.convert(f"{folder}/images", f"{folder}/labels", out, "bench", config, workers=1)

    seconds = {decode: float("inf"), convert: float("inf")}
    for _ in range(REPEATS):
        for work in seconds:
            start = time.process_time()
            work()
            seconds[work] = min(seconds[work], time.process_time() - start)
    print(f"\nrgb array: conversion takes {seconds[convert] / seconds[decode]:.2f} x the CPU time of bare LZW decoding")


def per_chip(datasets: dict[str, tuple[Any, int]]) -> dict[str, tuple[float, float]]:
    """Each dataset's best wall and CPU milliseconds per chip of several turns taken in rotation."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in datasets}
    for _ in range(REPEATS):
        for name, (dataset, batch) in datasets.items():
            count, wall, cpu = 0, time.perf_counter(), time.process_time()
            for _ in dataset:
                count += batch
            found[name].append(
                ((time.perf_counter() - wall) / count * 1000, (time.process_time() - cpu) / count * 1000)
            )
    return {name: tuple(map(min, zip(*turns, strict=True))) for name, turns in found.items()}  # type: ignore[misc]


def compare_reading(floats: str, arrays: str) -> None:
    """Run in a process of its own."""
    import tensorflow as tf

    import segchips

    number, numbers = (
        tf.io.FixedLenFeature([], tf.int64),
        tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    )
    keys = ("image/height", "image/width", "image/channels", "target/height", "target/width")
    spec = dict.fromkeys(keys, number) | dict.fromkeys(("image/image_data", "target/target_data"), numbers)

    def parse(record: Any) -> Any:
        found = tf.io.parse_single_example(record, spec | {"identifier": tf.io.FixedLenFeature([], tf.string)})
        image = tf.reshape(found["image/image_data"], [found[key] for key in keys[:3]])
        return image, tf.reshape(found["target/target_data"], [found[key] for key in keys[3:]]), found["identifier"]

    plain = tf.data.TFRecordDataset(sorted(map(str, Path(floats).iterdir()))).map(parse)
    load = segchips.load(arrays, "train")
    result = per_chip(
        {
            "plain parser on plain float shards": (plain, 1),
            "the same, batch 32": (plain.batch(32), 32),
            "load() on array shards": (load, 1),
            "the same, batch 32 afterwards": (load.batch(32), 32),
            "load() on array shards in batches of 32": (segchips.load(arrays, "train", 32), 32),
        }
    )
    print(
        f"\n{'reading 13-band uint16, ms per chip':44}{'wall':>8}{'CPU':>8}{'times':>8}{'CPU':>8}  goal: 3 in batches"
    )
    first = next(iter(result.values()))
    for name, (wall, cpu) in result.items():
        print(f"{name:44}{wall:8.3f}{cpu:8.3f}{first[0] / wall:8.1f}{first[1] / cpu:8.1f}")


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_chips(folder, pairs)
        compare_writing(folder, pairs)
        compare_decoding(str(folder / "rgb"))
        shards = [str(folder / "bands-float-plain"), str(folder / "bands-array-ours")]
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(
            [sys.executable, __file__, "compare_reading", *shards], check=True, env=quiet, stderr=subprocess.DEVNULL
        )


if __name__ == "__main__":
    roles = {"plain": plain, "ours": ours, "compare_reading": compare_reading}
    if len(sys.argv) > 2:
        roles[sys.argv[1]](*sys.argv[2:])
    else:
        main()
