"""A run over many tiles beside its two parts: its job graph with empty bodies, and a plain loop over the same calls.

python tests/benchmarks/tiles.py [columns rows]      100 x 60 tiles of 256 px, three bands, unless named
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import rasterio
import shapely
import yaml

from segchips.chips.image_plan import ImagePlan, ImagePlans
from segchips.chips.images import make_image
from segchips.config.loading import load_config
from segchips.config.model import Dataset
from segchips.grids.tile import Tile
from segchips.labels.chip import make_label
from segchips.labels.conflicts import write_conflicts
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels, read_label_locks, write_label_locks
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
from segchips.tiles.manifest import read_manifest
from segchips.tiles.tiles import make_tiles

REPOSITORY = Path(__file__).resolve().parents[2]
CORES = 2
SPLITS, SHARDS = ("train", "val", "test"), 4
SIZE, PAD, METRES, ZONE = 256, 2, 10, 33
CORE = (SIZE - 2 * PAD) * METRES
CONFIG = {
    "datasets": {
        "many": {
            "tiles": {"size": SIZE, "pad": PAD, "resolution": METRES, "aoi": "aoi.gpkg"},
            "imagery": {
                "catalog": "catalog.json",
                "products": [{"id": "aerial", "bands": ["rgb:1", "rgb:2", "rgb:3"]}],
                "start": "2023-01-01",
                "end": "2023-12-31",
                "reference_date": "2023-06-30",
            },
            "labels": {"path": "fields.gpkg", "attribute": "crop"},
            "tfrecords": {"shards": SHARDS},
        }
    }
}

# The workflow's jobs, dependencies and params, made by hand, with nothing to do in any of them.
EMPTY = """
KEYS = open("keys.txt").read().split()
SHARDS = [f"{split}-{shard}" for split in ("train", "val", "test") for shard in range(4)]
CHIPS = [f"out/{kind}/{key}.tif" for kind in ("images", "labels") for key in KEYS]
DIGESTS = {key: "digest of " + key for key in KEYS}

def touch(path):
    open(str(path), "w").close()

rule all:
    input: "out/ledger", "out/report"
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
        lambda wildcards: CHIPS[SHARDS.index(wildcards.shard)::12]
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


def write_landscape(folder: Path, columns: int, rows: int) -> None:
    """Scenes of 10 x 10 tiles each side by side, an AOI that has `columns` x `rows` tiles, and 20,000 fields."""
    (folder / "scenes").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    west, south = 500_000 + CORE, CORE * 2000
    blocks = [(column, row) for column in range(0, columns, 10) for row in range(0, rows, 10)]
    items = [write_scene(folder, west + column * CORE, south + row * CORE) for column, row in blocks]
    links = [{"rel": "item", "href": f"./{item}"} for item in items]
    about = {"stac_version": "1.0.0", "description": "Scenes made for a benchmark"}
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    write_json(
        folder / "scenes/collection.json",
        {"type": "Collection", "id": "aerial", "license": "CC0-1.0", "extent": extent, "links": links, **about},
    )
    child = [{"rel": "child", "href": "./scenes/collection.json"}]
    write_json(folder / "catalog.json", {"type": "Catalog", "id": "benchmark", "links": child, **about})
    write_vectors(folder, west, south, west + columns * CORE, south + rows * CORE)


def write_scene(folder: Path, west: float, south: float) -> str:
    """A smooth RGB scene with some noise, and its STAC item."""
    pixels, name = 10 * (SIZE - 2 * PAD) + 2 * PAD, f"scene-{west:.0f}-{south:.0f}"
    west, north = west - PAD * METRES, south + (pixels - PAD) * METRES
    random = np.random.default_rng(abs(hash((west, south))) % 2**32)
    waves = np.sin(np.arange(pixels) / 40)[:, None] * np.cos(np.arange(pixels) / 60)
    image = (100 + 60 * waves + random.integers(0, 40, (3, pixels, pixels))).astype(np.uint8)
    profile = {"driver": "GTiff", "width": pixels, "height": pixels, "count": 3, "dtype": "uint8", "compress": "lzw"}
    profile |= {"crs": f"EPSG:326{ZONE}", "transform": rasterio.Affine(METRES, 0, west, 0, -METRES, north)}
    tiled = {"tiled": True, "interleave": "pixel", "blockxsize": 256, "blockysize": 256}
    with rasterio.open(folder / f"scenes/{name}.tif", "w", **profile, **tiled) as file:
        file.write(image)
    outline = shapely.box(west, north - pixels * METRES, west + pixels * METRES, north)
    to_degrees = pyproj.Transformer.from_crs(f"EPSG:326{ZONE}", "EPSG:4326", always_xy=True).transform
    geometry = shapely.transform(outline, to_degrees, interleaved=False)
    item = {"type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "aerial", "links": []}
    item |= {"geometry": shapely.geometry.mapping(geometry), "bbox": geometry.bounds}
    item |= {"properties": {"datetime": "2023-06-15T10:00:00Z"}}
    item |= {"assets": {"rgb": {"href": f"./{name}.tif", "type": "image/tiff", "bands": [{}, {}, {}]}}}
    write_json(folder / f"scenes/{name}.json", item)
    return f"{name}.json"


def write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content))


def write_vectors(folder: Path, west: float, south: float, east: float, north: float) -> None:
    """The AOI, a step inside its tiles, and fields of five crops."""
    random = np.random.default_rng(1)
    centres = random.uniform((west, south), (east, north), (20_000, 2))
    fields = shapely.buffer(shapely.points(centres), random.uniform(100, 900, 20_000), quad_segs=4)
    crops = random.integers(1, 6, 20_000)
    crs = f"EPSG:326{ZONE}"
    geopandas.GeoDataFrame({"crop": crops}, geometry=fields, crs=crs).to_file(folder / "fields.gpkg")
    area = shapely.box(west + 50, south + 50, east - 50, north - 50)
    geopandas.GeoDataFrame(geometry=[area], crs=crs).to_file(folder / "aoi.gpkg")


def move_field(folder: Path) -> None:
    fields = geopandas.read_file(folder / "fields.gpkg")
    fields.loc[7, "geometry"] = shapely.affinity.translate(fields.geometry[7], 50, 0)
    fields.to_file(folder / "fields.gpkg")


def snakemake(folder: Path, *arguments: str) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", str(CORES), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def real_run(folder: Path) -> float:
    workflow = str(REPOSITORY / "workflow/Snakefile")
    return snakemake(folder, "--snakefile", workflow, "--configfile", str(folder / "config.yaml"))


def start(folder: Path) -> float:
    """Snakemake's own start, on a workflow that has nothing to do."""
    folder.mkdir()
    (folder / "Snakefile").write_text("rule all:\n")
    return snakemake(folder, "--snakefile", str(folder / "Snakefile"))


def empty_run(folder: Path, keys: list[str]) -> float:
    folder.mkdir()
    (folder / "Snakefile").write_text(EMPTY)
    (folder / "keys.txt").write_text("\n".join(key.replace(":", "#") for key in keys))
    profile = str(REPOSITORY / "workflow/profiles/default")
    options = "--workflow-profile", profile, "--force-use-threads"  # as the workflow asks for itself
    return snakemake(folder, "--snakefile", str(folder / "Snakefile"), *options)


def dataset() -> Dataset:
    return load_config(yaml.safe_load(Path("config.yaml").read_text())).datasets["many"]


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


def timed_loop(folder: Path) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, __file__, "loop"], check=True, cwd=folder)
    return time.perf_counter() - begin


def main() -> None:
    columns, rows = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (100, 60)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_landscape(folder, columns, rows)
        loop = timed_loop(folder)
        keys = [row.key for row in read_manifest(folder / "loop/tiles.parquet")]
        few, empty = empty_run(folder / "few", keys[: len(keys) // 6]), empty_run(folder / "empty", keys)
        begun = start(folder / "nothing")
        run = real_run(folder)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        again = real_run(folder)
        move_field(folder)
        moved = real_run(folder)
    jobs = 2 * len(keys)
    print(f"{len(keys)} tiles of {SIZE} px, three bands, {CORES} cores; {jobs} tile jobs")
    print(f"empty job graph {empty:.1f} s, plain loop {loop:.1f} s, run {run:.1f} s, largest process {peak:.0f} MiB")
    print(f"run / (empty job graph + plain loop): {run / (empty + loop):.2f}, at most 1.15 wanted")
    print(
        f"a job of the empty graph: {(empty - begun) / jobs * 1e3:.1f} ms, {(few - begun) / jobs * 6e3:.1f} of a sixth"
    )
    print(f"run again {again:.1f} s; Snakemake's start {begun:.1f} s; wanted {3 * begun + jobs / 1e3:.1f} s")
    print(f"a polygon moved: {moved - again:.1f} s more than a run again, at most 5 wanted")


if __name__ == "__main__":
    plain_loop() if sys.argv[1:] == ["loop"] else main()
