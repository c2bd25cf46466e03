"""Tiles from scenes on a server that waits before each answer, beside the same tiles from local files.

python tests/benchmarks/remote.py [--bands 3] [--scenes 6] [--side 11] [--pixels 4096] [--latency 0.02 0.1 0.3]
                                  [--composite closest median] [--resolution 10] [--full-resolution] [--items 2000]
                                  [--folder FOLDER] [--before FOLDER] [--peers PYTHON] [--lazycogs PYTHON]

Scenes are Cloud-Optimized GeoTIFFs with blocks of 512 px; the tiles are side x side of 256 px, or of 64 px with another
resolution than 10 m, and `--full-resolution` reads no overviews. The table has wall and
CPU seconds, requests and megabytes that the server answered, requests over distinct blocks under the tiles, requests
under way on average while there are any, and the memory of all processes. `--before` names another checkout of this
repository, with its environment in `.venv`. `--peers` names a Python with rasterio and odc-stac, and `--lazycogs` one
with lazycogs: they read the same tiles in loops over threads, and make no labels and records of them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
CORES, REQUESTS = 2, 32
SIZE, PAD, METRES, BLOCK = 256, 2, 10, 512
CORE = (SIZE - 2 * PAD) * METRES
EAST, SOUTH = 500_000, CORE * 2000
CRS = "EPSG:32633"
DISTINCT, DISTINCT_BANDS = 6, 3
"""Scenes, and bands of each, that are written; others are links to these."""


@dataclass(frozen=True)
class Figures:
    """Wall seconds, CPU seconds of all processes, and megabytes of all processes at the most, each page once."""

    seconds: float
    cpu: float
    memory: float


@contextmanager
def served(folder: Path, latency: float) -> Iterator[str]:
    """Serve a folder in another process."""
    command = [sys.executable, str(REPOSITORY / "tests/support/distant_server.py"), str(folder), str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def hole(number: int, pixels: int) -> np.ndarray:
    """Where a scene has no pixels: outside the swath, a corner of another size in each scene."""
    rows, columns = np.mgrid[:pixels, :pixels]
    return np.asarray(rows + columns < pixels // 3 * (number % 3))


def write_bands(
    folder: Path, number: int, bands: int, pixels: int, corner: tuple[float, float], random: np.random.Generator
) -> None:
    """The bands of one scene: waves and noise, compressed to 0.8 of their size."""
    import rasterio

    waves = 1000 + 300 * np.sin(np.arange(pixels) / 40 + number)[:, None] * np.cos(np.arange(pixels) / 60)
    profile = {"driver": "COG", "width": pixels, "height": pixels, "count": 1, "dtype": "uint16", "nodata": 0}
    profile |= {"crs": CRS, "transform": rasterio.Affine(METRES, 0, corner[0], 0, -METRES, corner[1])}
    profile |= {"compress": "deflate", "level": 1, "blocksize": BLOCK, "overview_resampling": "average"}
    for band in range(bands):
        image = (waves * (band + 1) + random.integers(0, 60, (pixels, pixels))).astype(np.uint16)
        image[hole(number, pixels)] = 0
        with rasterio.open(folder / f"scenes/{number}-{band}.tif", "w", **profile) as file:
            file.write(image, 1)


def write_scenes(folder: Path, scenes: int, bands: int, pixels: int) -> None:
    """Scenes of the same ground, one file a band, their catalogue, an AOI and some fields; many are links to few."""
    import geopandas
    import pyproj
    import shapely

    (folder / "scenes").mkdir(parents=True)
    west, north = EAST - 20 - METRES * PAD, SOUTH + METRES * (pixels - 100)
    random = np.random.default_rng(1)
    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform
    outline = shapely.box(west, north - pixels * METRES, west + pixels * METRES, north)
    geometry = shapely.transform(outline, to_degrees, interleaved=False)
    for number in range(scenes):
        if number < DISTINCT:
            write_bands(folder, number, min(bands, DISTINCT_BANDS), pixels, (west, north), random)
        for band in range(bands):
            if number >= DISTINCT or band >= DISTINCT_BANDS:
                written = folder / f"scenes/{number % DISTINCT}-{band % DISTINCT_BANDS}.tif"
                os.link(written, folder / f"scenes/{number}-{band}.tif")
        assets = {f"B{band}": {"href": f"./{number}-{band}.tif", "type": "image/tiff"} for band in range(bands)}
        item = {"type": "Feature", "stac_version": "1.0.0", "id": f"s{number}", "collection": "s2", "links": []}
        item |= {"geometry": shapely.geometry.mapping(geometry), "bbox": geometry.bounds, "assets": assets}
        item |= {"properties": {"datetime": f"2023-{6 + number // 28:02}-{1 + number % 28:02}T10:00:00Z"}}
        (folder / f"scenes/{number}.json").write_text(json.dumps(item))
    links = [{"rel": "item", "href": f"./{number}.json"} for number in range(scenes)]
    about = {"stac_version": "1.0.0", "description": "Scenes made for a benchmark"}
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    collection = {"type": "Collection", "id": "s2", "license": "CC0-1.0", "extent": extent, "links": links, **about}
    (folder / "scenes/collection.json").write_text(json.dumps(collection))
    child = [{"rel": "child", "href": "./scenes/collection.json"}]
    (folder / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "b", "links": child, **about}))
    points = random.uniform((EAST, SOUTH), (EAST + 11 * CORE, SOUTH + 11 * CORE), (2000, 2))
    fields = shapely.buffer(shapely.points(points), random.uniform(100, 900, 2000), quad_segs=4)
    crops = random.integers(1, 6, 2000)
    geopandas.GeoDataFrame({"crop": crops}, geometry=fields, crs=CRS).to_file(folder / "fields.gpkg")


def write_area(folder: Path, out: Path, side: int, resolution: int) -> None:
    import geopandas
    import shapely

    reach = side * CORE * resolution / METRES if resolution == METRES else 3200 * METRES
    area = shapely.box(EAST + 50, SOUTH + 50, EAST + reach - 50, SOUTH + reach - 50)
    geopandas.GeoDataFrame(geometry=[area], crs=CRS).to_file(out / "aoi.gpkg")


def distinct_blocks(options: argparse.Namespace, composite: str) -> int:
    """The blocks of full resolution that the tiles need of all bands; 0 where they read overviews."""
    if options.resolution != METRES:
        return 0
    pixels, found = options.pixels, set[tuple[int, int, int]]()
    order = range(options.scenes)
    holes = [hole(number, pixels) for number in order]
    for row, column in np.ndindex(options.side, options.side):
        left = column * CORE // METRES + 2
        top = pixels - 100 - (row + 1) * CORE // METRES - PAD
        window = slice(top, top + SIZE), slice(left, left + SIZE)
        missing = np.ones((SIZE, SIZE), bool)
        for number in order:
            found |= {
                (number, down, across)
                for down in range(top // BLOCK, (top + SIZE - 1) // BLOCK + 1)
                for across in range(left // BLOCK, (left + SIZE - 1) // BLOCK + 1)
            }
            missing &= holes[number][window]
            if composite == "closest" and not missing.any():
                break
    return len(found) * options.bands


def write_config(out: Path, options: argparse.Namespace, folder: Path, catalog: str, composite: str) -> None:
    import yaml

    size = SIZE if options.resolution == METRES else 64
    resampling = "nearest" if options.resolution == METRES else "average"
    bands = [f"B{band}" for band in range(options.bands)]
    dataset = {
        "tiles": {"size": size, "pad": PAD, "resolution": options.resolution, "aoi": str(out / "aoi.gpkg")},
        "imagery": {
            "catalog": catalog,
            "products": [{"id": "s2", "bands": bands, "resampling": resampling}],
            "start": "2023-01-01",
            "end": "2023-12-31",
            "reference_date": "2023-06-01",
            "composite": composite,
        },
        "labels": {"path": str(folder / "fields.gpkg"), "attribute": "crop"},
        "tfrecords": {"shards": 2},
    }
    if options.full_resolution:
        dataset["imagery"]["overviews"] = False
    config = {"requests": REQUESTS, "datasets": {"d": dataset}}
    (out / "config.yaml").write_text(yaml.safe_dump(config))


def resident(process: int) -> int:
    """Bytes of a process in memory; a page that several processes share counts in parts."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return 1024 * int(text.partition("\nPss:")[2].split()[0])


def measured(command: Sequence[str], folder: Path = REPOSITORY) -> Figures:
    """Run a command in a folder, and watch it and its children, twice a second."""
    import psutil

    start, cpu, largest = time.perf_counter(), dict[int, float](), 0.0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.append(process.stdout.read() if process.stdout else ""))
    reader.start()
    me = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0.0
        for each in (me, *me.children(recursive=True)):
            with suppress(psutil.Error, OSError):
                times = each.cpu_times()
                cpu[each.pid] = times.user + times.system
                total += resident(each.pid) / 1e6
        largest = max(largest, total)
        time.sleep(0.5)
    reader.join()
    if process.returncode:
        sys.exit(output[0][-3000:])
    return Figures(time.perf_counter() - start, sum(cpu.values()), largest)


def checksum(chips: Path) -> int:
    import rasterio

    total = 0
    for path in sorted(chips.glob("*.tif")):
        with rasterio.open(path) as file:
            total = hash((total, file.read().tobytes()))
    return total


def run(
    options: argparse.Namespace, folder: Path, composite: str, catalog: str, out: Path, checkout: Path = REPOSITORY
) -> Figures:
    """Make the dataset in an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    write_area(folder, out, options.side, options.resolution)
    write_config(out, options, folder, catalog, composite)
    python = sys.executable if checkout == REPOSITORY else str(checkout / ".venv/bin/python")
    command = [python, "-m", "snakemake", "--cores", str(CORES), "--directory", str(out)]
    snakefile = str(checkout / "workflow/Snakefile")
    return measured([*command, "--snakefile", snakefile, "--configfile", str(out / "config.yaml")], checkout)


def show(name: str, figures: Figures, counts: dict[str, float] | None, blocks: int, base: float) -> None:
    seconds, cpu, memory = figures.seconds, figures.cpu, figures.memory
    line = f"{name:34} {seconds:6.1f} s {seconds / base:5.2f} x  CPU {cpu:6.1f} s {memory:6.0f} MB"
    if counts:
        mean = counts["area"] / counts["busy"] if counts["busy"] else 0
        line += f"  {counts['requests']:5} requests"
        line += f" {counts['requests'] / blocks:5.2f} a block" if blocks else ""
        line += f" {counts['sent'] / 1e6:6.0f} MB  under way {mean:4.1f}, at most {counts['most']}"
        line += f" for {counts['busy']:.1f} s, server's CPU {counts['cpu']:.1f} s"
    print(line, flush=True)


def compare_catalogues(folder: Path, items: int, latency: float) -> None:
    """A static catalogue of many items, and the same items as stac-geoparquet, read with many requests at a time."""
    import rustac

    from segchips.scenes.stac_client import open_catalog
    from segchips.scenes.stac_search import ItemSearch

    place = folder / "items"
    place.mkdir()
    box = {"type": "Polygon", "coordinates": [[[14, 45], [15, 45], [15, 46], [14, 46], [14, 45]]]}
    content = {"type": "Feature", "stac_version": "1.0.0", "collection": "c", "geometry": box, "bbox": [14, 45, 15, 46]}
    assets = {f"B{band}": {"href": f"./{band}.tif", "type": "image/tiff"} for band in range(13)}
    members = [
        content
        | {"id": f"i{number}", "properties": {"datetime": "2023-01-01T00:00:00Z"}, "links": [], "assets": assets}
        for number in range(items)
    ]
    for number, item in enumerate(members):
        (place / f"{number}.json").write_text(json.dumps(item))
    links = [{"rel": "item", "href": f"./{number}.json"} for number in range(items)]
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    about = {"stac_version": "1.0.0", "id": "c", "description": "c", "license": "CC0-1.0", "extent": extent}
    (place / "collection.json").write_text(json.dumps({"type": "Collection", "links": links, **about}))
    rustac.write_sync(str(place / "items.parquet"), {"type": "FeatureCollection", "features": members})
    for name in ("collection.json", "items.parquet"):
        with served(place, latency) as url:
            start = time.perf_counter()
            found = len(list(open_catalog(f"{url}/{name}", REQUESTS).items("c", ItemSearch())))
            seconds, counts = time.perf_counter() - start, counts_of(url)
            asked = f"{counts['requests']:.0f} requests, at most {counts['most']:.0f} under way"
            print(f"{name} of {found} items at {latency * 1e3:.0f} ms: {seconds:.1f} s, {asked}")
    shutil.rmtree(place)


def counts_of(url: str) -> dict[str, float]:
    counts: dict[str, float] = json.load(urllib.request.urlopen(f"{url}/counts"))
    return counts


def compare(options: argparse.Namespace, folder: Path, composite: str) -> None:
    out, blocks = folder / "run", distinct_blocks(options, composite)
    tiles = f"{options.side**2} tiles, {blocks} blocks" if blocks else f"tiles at {options.resolution} m"
    print(f"{composite} of {options.scenes} scenes, {options.bands} bands, {tiles}")
    local = run(options, folder, composite, str(folder / "catalog.json"), out)
    expected = checksum(out / "results/d/images")
    show("local", local, None, blocks, local.seconds)
    for latency in options.latency:
        with served(folder, latency) as url:
            figures = run(options, folder, composite, f"{url}/catalog.json", out)
            show(f"{latency * 1e3:.0f} ms", figures, counts_of(url), blocks, local.seconds)
        if checksum(out / "results/d/images") != expected:
            sys.exit("the chips differ from those of local files")
        compare_others(options, folder, composite, latency, blocks, local.seconds)
    shutil.rmtree(out)


def compare_others(
    options: argparse.Namespace, folder: Path, composite: str, latency: float, blocks: int, base: float
) -> None:
    """The same tiles by an earlier state of the product, and by plain loops."""
    if options.before:
        with served(folder, latency) as url:
            figures = run(options, folder, composite, f"{url}/catalog.json", folder / "run", options.before)
            show(f"{latency * 1e3:.0f} ms, before", figures, counts_of(url), blocks, base)
    for kind, python in {"gdal": options.peers, "odc": options.peers, "lazycogs": options.lazycogs}.items():
        if not python:
            continue
        with served(folder, latency) as url:
            arguments = map(str, (composite, options.side, options.scenes, options.bands, REQUESTS))
            figures = measured([python, str(Path(__file__).with_name("remote_peers.py")), kind, url, *arguments])
            show(f"{latency * 1e3:.0f} ms, {kind}", figures, counts_of(url), blocks, base)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in {"bands": 3, "scenes": 6, "side": 11, "pixels": 4096, "resolution": METRES}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--latency", type=float, nargs="*", default=[0.02, 0.1, 0.3])
    parser.add_argument("--composite", nargs="*", default=["closest", "median"])
    parser.add_argument("--full-resolution", action="store_true")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--peers")
    parser.add_argument("--lazycogs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name) / "far"
        if not folder.exists():
            write_scenes(folder, options.scenes, options.bands, options.pixels)
        if options.items:
            compare_catalogues(folder, options.items, 0.05)
        for composite in options.composite:
            compare(options, folder, composite)


if __name__ == "__main__":
    main()
