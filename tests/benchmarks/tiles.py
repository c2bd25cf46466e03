"""A run over many tiles beside a plain loop over the same calls, both with two processes.

python tests/benchmarks/tiles.py 40 25 256 --scenes 6 --composite median      1,000 tiles
python tests/benchmarks/tiles.py 400 250 64 --alone                           100,000 tiles, without the loop
python tests/benchmarks/tiles.py 1000 1000 64 --alone --stand-ins             a million, whose chips are made up
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import geopandas
import numpy as np
import psutil
import shapely
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from segchips.chips.chip_file import write_chip
from segchips.chips.image_plan import ImagePlan, ImagePlans
from segchips.chips.images import make_image
from segchips.config.loading import load_config
from segchips.config.model import Dataset
from segchips.grids.tile import Tile
from segchips.labels.chip import make_label
from segchips.labels.conflicts import write_conflicts
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels, read_label_locks, write_label_locks
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.portion_options import touch_portions
from segchips.pipeline.portions import Portions
from segchips.records.dataset_description import describe_dataset
from segchips.records.file_names import index_name, shard_name
from segchips.records.shard_writer import write_shard
from segchips.reports.audit import write_audit
from segchips.reports.descriptors import write_descriptors
from segchips.reports.ledger import finished_rows, write_ledger
from segchips.reports.report import write_report
from segchips.scenes.lock import read_locks
from segchips.scenes.resolve import resolve
from segchips.splits.splits import make_splits, read_splits
from segchips.tiles.assignment import TileAssignment
from segchips.tiles.manifest import read_keys, read_manifest
from segchips.tiles.tiles import make_tiles
from support.landscape import Landscape

REPOSITORY = Path(__file__).resolve().parents[2]
CORES = 2
SPLITS, SHARDS = ("train", "val", "test"), 4
MANIFEST = "tiles_per_job-auto/many/tiles.parquet"
MANY = 10_000
"""Tiles from which on a job for each chip is not tried."""


def move_field(folder: Path) -> None:
    fields = geopandas.read_file(folder / "fields.gpkg")
    fields.loc[7, "geometry"] = shapely.affinity.translate(fields.geometry[7], 50, 0)
    fields.to_file(folder / "fields.gpkg")


@dataclass(frozen=True)
class Cost:
    """What a command and its descendants took: seconds by the clock, CPU seconds, and MiB of the largest process."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s, {self.cpu:.1f} s of CPU, largest process {self.memory:.0f} MiB"


def cost(folder: Path, *command: str) -> Cost:
    """Run a command, and watch it and its descendants four times a second."""
    begin, cpu, memory = time.perf_counter(), dict[int, float](), 0.0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        for each in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                times, used = each.cpu_times(), each.memory_info().rss / 2**20
                cpu[each.pid], memory = times.user + times.system, max(memory, used)
        time.sleep(0.25)
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}"
    return Cost(time.perf_counter() - begin, sum(cpu.values()), memory)


def run(folder: Path, tiles_per_job: str | int, *arguments: str) -> Cost:
    workflow = "--snakefile", str(REPOSITORY / "workflow/Snakefile"), "--configfile", f"{tiles_per_job}.yaml"
    return cost(folder, sys.executable, "-m", "snakemake", *workflow, "--cores", str(CORES), *arguments)


def write_stand_ins(folder: Path) -> None:
    """Chips of one colour in place of those that a run would make, which portions take for theirs."""
    folder_of_locks = Path(MANIFEST).parent
    run(folder, "auto", *(str(folder_of_locks / f"{lock}.parquet") for lock in ("scenes", "labels", "splits")))
    count = len(read_keys(folder / MANIFEST))
    with get_context("spawn").Pool(CORES) as pool:
        pool.starmap(stand_in, [(folder, start) for start in range(0, count, MANY)], chunksize=1)
        pool.apply(record_stand_ins, [folder])


def stand_in(folder: Path, start: int) -> None:
    """Link one image chip, and one label chip, to the paths of some tiles' chips."""
    os.chdir(folder)
    datasets = Datasets(load_config(yaml.safe_load(Path("auto.yaml").read_text())))
    keys = list(datasets.keys("many"))[start : start + MANY]
    tile = Tile.from_key(keys[0])
    for kind, bands, tags in (
        ("images", ["rgb:1", "rgb:2", "rgb:3"], {"SCENES": "{}", "VALID": "1.0"}),
        ("labels", ["label"], {}),
    ):
        Path(datasets.chip_folder("many", kind, "")).mkdir(exist_ok=True)
        first, *others = datasets.chips("many", kind, "", keys)
        pixels = np.full((len(bands), tile.size, tile.size), 1, np.uint8)
        write_chip(Path(first), pixels, tile, bands, None if kind == "images" else 0, tags)
        for path in others:
            os.link(first, path)


def record_stand_ins(folder: Path) -> None:
    """Let portions take the chips for theirs, which are not opened for that."""
    os.chdir(folder)
    datasets = Datasets(load_config(yaml.safe_load(Path("auto.yaml").read_text())))
    touch_portions(datasets, Portions(datasets, lambda *_: False))


def dataset() -> Dataset:
    return load_config(yaml.safe_load(Path("auto.yaml").read_text())).datasets["many"]


def work(part: list[str], out: Path) -> None:
    plan = ImagePlan(dataset().imagery.first, read_locks(out / "scenes.parquet")[""], code_version="", config_key="")
    features = LabelFeatures(dataset().labels.first)
    lock = read_label_locks(out / "labels.parquet")[""]
    for key in part:
        tile = Tile.from_key(key)
        make_image(plan, tile, out / "images" / f"{tile.name}.tif")
        make_label(features, tile, lock.feature_indices[key], out / "labels" / f"{tile.name}.tif")


def conflicts(out: Path) -> None:
    lock = read_label_locks(out / "labels.parquet")[""]
    write_conflicts(out / "conflicts.parquet", [(LabelFeatures(dataset().labels.first), lock)])


def plain_loop() -> None:
    """All that the workflow does with the same library calls, without Snakemake, in two processes."""
    out, many = Path("loop"), dataset()
    make_tiles(many, out / "tiles.parquet")
    list(resolve(many, out / "tiles.parquet", out / "scenes.parquet", refresh=True))
    tiles = [Tile.from_key(row.key) for row in read_manifest(out / "tiles.parquet")]
    write_label_locks(out / "labels.parquet", {"": lock_labels(LabelFeatures(many.labels.first), tiles, "code")})
    make_splits(many, out / "tiles.parquet", out / "splits.parquet", None, "")
    rows = read_splits(out / "splits.parquet")
    half = len(rows) // CORES
    with get_context("spawn").Pool(CORES) as pool:
        pool.starmap(work, [([row.key for row in part], out) for part in (rows[:half], rows[half:])])
        counted = pool.apply_async(conflicts, [out])
        pool.starmap(write_shard, list(shard_jobs(many, rows, out)), chunksize=1)
        counted.get()
        indices = {split: [out / index_name("many", split, n, SHARDS) for n in range(SHARDS)] for split in SPLITS}
        example = Tile.from_key(rows[0].key).name
        chips = [{"": out / kind / f"{example}.tif"} for kind in ("images", "labels")]
        describe_dataset(out, "many", many.tfrecords, indices, *chips, [many.labels.first.background])
        plan = ImagePlan(many.imagery.first, read_locks(out / "scenes.parquet")[""], code_version="", config_key="")
        plans = ImagePlans({"": plan})
        write_ledger(
            out / "ledger.csv", finished_rows(rows, plans, [path for paths in indices.values() for path in paths])
        )
        (out / "tfrecords").symlink_to(out.absolute(), target_is_directory=True)
        write_audit(many, out, out / "audit.json", out / "audit.log")
        described = pool.apply_async(write_descriptors, [many, out])
        write_report(many, out, out / "report" / "index.html")
        described.get()


def shard_jobs(many: Dataset, rows: list[TileAssignment], out: Path) -> Iterator[tuple[object, ...]]:
    for split, number in ((split, number) for split in SPLITS for number in range(SHARDS)):
        keys = [row.key for row in rows if (row.split, row.shard) == (split, number)]
        names = shard_name("many", split, number, SHARDS), index_name("many", split, number, SHARDS)
        chips = {"": out / "images"}, {"": out / "labels"}
        yield *(out / name for name in names), keys, *chips, split, many.tfrecords, [0.0], None, [None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("columns", 40), ("rows", 25), ("size", 256)):
        parser.add_argument(name, type=int, nargs="?", default=default)
    parser.add_argument("--scenes", type=int, default=1, help="how many lie under each tile")
    parser.add_argument("--composite", default="closest")
    parser.add_argument("--alone", action="store_true", help="without the loop")
    parser.add_argument("--stand-ins", action="store_true", help="with chips that this tool makes up")
    chosen = parser.parse_args()
    sizes = chosen.columns, chosen.rows, chosen.size, chosen.scenes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Landscape(*sizes, chosen.composite, is_blank=chosen.stand_ins, shards=SHARDS).write(folder)
        compare(folder, chosen.alone, chosen.stand_ins)


def compare(folder: Path, is_alone: bool, has_stand_ins: bool) -> None:
    if has_stand_ins:
        write_stand_ins(folder)
    loop = None if is_alone else cost(folder, sys.executable, __file__, "loop")
    first = run(folder, "auto")
    tiles = len(read_keys(folder / MANIFEST))
    print(f"{tiles:,} tiles, {CORES} cores\n{'first run, without chips' if has_stand_ins else 'first run'}: {first}")
    print(f"of a tile: {first.wall / tiles * 1e3:.2f} ms, {first.cpu / tiles * 1e3:.2f} ms of CPU")
    if loop:
        wall, cpu = first.wall / loop.wall, first.cpu / loop.cpu
        print(f"plain loop: {loop}; the run takes {wall:.2f} of its time, {cpu:.2f} of its CPU")
    if loop and tiles < MANY:
        print(f"a job for each chip: {run(folder, 1)}")
    print(f"nothing to do: {run(folder, 'auto')}")
    move_field(folder)
    print(f"a polygon moved: {run(folder, 'auto')}")


if __name__ == "__main__":
    plain_loop() if sys.argv[1:] == ["loop"] else main()
