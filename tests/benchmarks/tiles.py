"""A run over many tiles beside its two parts: its job graph with empty bodies, and a plain loop over the same calls.

python tests/benchmarks/tiles.py [columns rows]      40 x 25 tiles unless named
"""

import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import yaml

from segchips.config import Dataset
from segchips.description import index_name, shard_name
from segchips.grid import Tile
from segchips.images import Plan, make_image
from segchips.job import SCHEMA
from segchips.labels import Features, lock_labels, make_label
from segchips.ledger import finished, write_ledger
from segchips.report import write_report
from segchips.resolve import resolve
from segchips.sample import write_sample
from segchips.scenes import read_lock
from segchips.shards import write_info, write_shard
from segchips.tiles import Planned, aoi_layers, read_manifest, tiles_of, write_manifest
from segchips.validation import load_config

REPOSITORY = Path(__file__).resolve().parents[2]
CORES = 2
SPLITS, SHARDS = ("train", "val", "test"), 2

# The workflow's jobs, dependencies and params, made by hand, with nothing to do in any of them.
EMPTY = """
KEYS = open("keys.txt").read().split()
SHARDS = [f"{split}-{shard}" for split in ("train", "val", "test") for shard in range(2)]
CHIPS = [f"out/{kind}/{key}.tif" for kind in ("images", "labels") for key in KEYS]
DIGESTS = {key: "digest of " + key for key in KEYS}

def touch(path):
    open(str(path), "w").close()

rule all:
    input: "out/ledger", "out/report", lambda wildcards: CHIPS
checkpoint tiles:
    output: "out/tiles"
    run: touch(output[0])
checkpoint scenes:
    input: "out/tiles"
    output: "out/scenes"
    run: touch(output[0])
checkpoint label_lock:
    input: "out/tiles"
    output: "out/label_lock"
    run: touch(output[0])
rule images:
    input: lambda wildcards: ancient(checkpoints.scenes.get().output[0])
    output: "out/images/{tile}.tif"
    params: digest=lambda wildcards: DIGESTS[wildcards.tile]
    run: touch(output[0])
rule labels:
    input: lambda wildcards: ancient(checkpoints.label_lock.get().output[0])
    output: "out/labels/{tile}.tif"
    params: digest=lambda wildcards: DIGESTS[wildcards.tile]
    run: touch(output[0])
rule shards:
    input:
        lambda wildcards: CHIPS[SHARDS.index(wildcards.shard)::6]
    output: "out/shards/{shard}"
    run: touch(output[0])
rule info:
    input: expand("out/shards/{shard}", shard=SHARDS)
    output: "out/info"
    run: touch(output[0])
rule ledger:
    input: "out/info"
    output: "out/ledger"
    run: touch(output[0])
rule report:
    input: "out/ledger"
    output: "out/report"
    run: touch(output[0])
"""


def snakemake(folder: Path, *arguments: str) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", str(CORES), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def real_run(folder: Path) -> float:
    return snakemake(
        folder, "--snakefile", str(REPOSITORY / "workflow/Snakefile"), "--configfile", str(folder / "config.yaml")
    )


def empty_run(folder: Path, keys: list[str]) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "Snakefile").write_text(EMPTY)
    (folder / "keys.txt").write_text("\n".join(key.replace(":", "#") for key in keys))
    profile = str(REPOSITORY / "workflow/profiles/default")
    return snakemake(folder, "--snakefile", str(folder / "Snakefile"), "--workflow-profile", profile)


def work(part: list[str], lock: Path, out: Path) -> None:
    dataset = load_config(yaml.safe_load(Path("config.yaml").read_text()), SCHEMA).datasets["sample"]
    plan, features = Plan(dataset, read_lock(lock)), Features(dataset.labels)
    touching = lock_labels(features, [Tile.from_key(key) for key in part]).features
    for key in part:
        tile = Tile.from_key(key)
        make_image(plan, tile, out / "images" / f"{tile.name}.tif")
        make_label(features, tile, touching[key], out / "labels" / f"{tile.name}.tif")


def plain_loop() -> None:
    """The same tiles, scenes, chips and shards without Snakemake, in two processes."""
    out = Path("loop")
    dataset = load_config(yaml.safe_load(Path("config.yaml").read_text()), SCHEMA).datasets["sample"]
    tiles = tiles_of(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels))
    write_manifest(out / "tiles.parquet", tiles, dataset.tfrecords)
    list(resolve(dataset, out / "tiles.parquet", out / "scenes.parquet", anew=True))
    rows = read_manifest(out / "tiles.parquet")
    half = len(rows) // CORES
    parts = [[row.key for row in rows[:half]], [row.key for row in rows[half:]]]
    with get_context("spawn").Pool(CORES) as pool:
        pool.starmap(work, [(part, out / "scenes.parquet", out) for part in parts])
        pool.starmap(write_shard, [shard_job(dataset, rows, out, split, n) for split in SPLITS for n in range(SHARDS)])
    indices = {split: [out / index_name("sample", split, n, SHARDS) for n in range(SHARDS)] for split in SPLITS}
    example = Tile.from_key(rows[0].key).name
    chips = [out / kind / f"{example}.tif" for kind in ("images", "labels")]
    write_info(out, "sample", dataset.tfrecords, indices, *chips, dataset.labels.background)
    plan = Plan(dataset, read_lock(out / "scenes.parquet"))
    write_ledger(out / "ledger.csv", finished(rows, plan, [path for paths in indices.values() for path in paths]))
    (out / "tfrecords").symlink_to(out.absolute(), target_is_directory=True)
    write_report(dataset, out, out / "report" / "index.html")


def shard_job(dataset: Dataset, rows: list[Planned], out: Path, split: str, number: int) -> tuple[object, ...]:
    keys = [row.key for row in rows if (row.split, row.shard) == (split, number)]
    names = shard_name("sample", split, number, SHARDS), index_name("sample", split, number, SHARDS)
    return *(out / name for name in names), keys, out / "images", out / "labels", split, dataset.tfrecords, 0.0


def timed_loop(folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, "loop"], check=True, cwd=folder)
    return time.perf_counter() - start


def main() -> None:
    columns, rows = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (40, 25)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "resources/sample", columns=columns, rows=rows)
        shutil.copy(REPOSITORY / "config/config.yaml", folder / "config.yaml")
        loop = timed_loop(folder)
        keys = [row.key for row in read_manifest(folder / "loop/tiles.parquet")]
        run, empty = real_run(folder), empty_run(folder / "empty", keys)
        again = real_run(folder)
    print(f"{len(keys)} tiles, {CORES} cores")
    print(f"empty job graph {empty:6.1f} s    plain loop {loop:6.1f} s    run {run:6.1f} s    run again {again:6.1f} s")
    print(f"run / (empty job graph + plain loop) = {run / (empty + loop):.2f}")


if __name__ == "__main__":
    plain_loop() if sys.argv[1:] == ["loop"] else main()
