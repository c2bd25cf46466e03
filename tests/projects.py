"""Projects in which the real workflow runs as a user would run it."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import IO, Any

import geopandas
import psutil
import rasterio
import shapely
import yaml

from helpers import write_catalog

REPOSITORY = Path(__file__).resolve().parents[1]


class Project:
    """A folder with a config, in which the workflow runs as a user would run it, in an environment if one is given."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder, self.environment = folder, environment
        self.workflow = REPOSITORY / "workflow"

    @property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.folder / "config.yaml").read_text())

    def write(self, config: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def change(self, path: str, value: Any) -> None:
        """Set one key of the config, such as `defaults.imagery.start`."""
        config = self.config
        *blocks, key = path.split(".")
        block = config
        for name in blocks:
            block = block.setdefault(name, {})
        block[key] = value
        self.write(config)

    def run(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, cores=cores)
        output = process.communicate()[0]
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(self, *arguments: str, cores: int = 2, output: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        """Begin a run; its output is to be read from the pipe, if it is one."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.workflow / "Snakefile")]
        command += ["--directory", str(self.folder), "--configfile", "config.yaml", "--cores", str(cores), *arguments]
        environment = self.environment or {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=output, stderr=subprocess.STDOUT
        )

    def made(self, *arguments: str) -> Counter[str]:
        """Run, expect success, and count the jobs of each rule that ran."""
        before = set(self._logs())
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout
        (log,) = set(self._logs()) - before
        return Counter(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", log.read_text(), re.MULTILINE))

    def _logs(self) -> list[Path]:
        return list((self.folder / ".snakemake" / "log").glob("*.log"))

    def results(self, dataset: str = "sample") -> Path:
        return self.folder / "results" / dataset

    def ledger(self, dataset: str = "sample") -> list[dict[str, str]]:
        with (self.results(dataset) / "ledger.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    def contents(self, pattern: str) -> dict[str, bytes]:
        """The bytes of files, but not of hidden ones, which hold times."""
        found = (path for path in sorted(self.folder.glob(pattern)) if path.is_file() and path.name[0] != ".")
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


def chips_touched(project: Project, shapes: list[shapely.Geometry]) -> set[str]:
    """The names of label chips whose grid one of the lon/lat shapes touches."""
    touched = set()
    for path in project.results().glob("labels/*.tif"):
        with rasterio.open(path) as chip:
            inside = geopandas.GeoSeries(shapes, crs=4326).to_crs(chip.crs).intersects(shapely.box(*chip.bounds))
        if inside.any():
            touched.add(path.name)
    return touched


def stop(process: subprocess.Popen[str]) -> None:
    """End a run and all that it started, at once and without warning."""
    root = psutil.Process(process.pid)
    root.suspend()
    for each in (*root.children(recursive=True), root):
        each.kill()
    process.wait()


def sample_config() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())


def three_collections(sample: Path, folder: Path, without_mask: str) -> Path:
    """A catalogue of the sample's scenes: as they are, the near infrared of one orbit, and all masks but one."""
    items = []
    for path in sorted(sample.glob("sample-l2a/*/*.json")):
        item = json.loads(path.read_text()) | {"links": []}
        for asset in item["assets"].values():
            asset["href"] = str((path.parent / asset["href"]).resolve())
        mask, nir = ({name: {**item["assets"][name], "roles": ["data"]}} for name in ("cloud_mask", "B08"))
        items.append(item)
        if item["id"] != without_mask:
            items.append({**item, "collection": "sample-clouds", "assets": mask})
        if item["id"].endswith("r065"):
            items.append({**item, "collection": "sample-nir", "id": f"nir_{item['id']}", "assets": nir})
    return write_catalog(folder, items)


def make_chips() -> None:
    """Make all image chips that config.yaml in this folder asks for, one after the other, without Snakemake."""
    from segchips.chips.image_plan import ImagePlan
    from segchips.chips.images import make_image
    from segchips.config.loading import SCHEMA, load_config
    from segchips.scenes.lock import read_lock
    from segchips.scenes.resolve import resolve
    from segchips.tiles.area import aoi_layers, find_tiles
    from segchips.tiles.manifest import write_manifest

    for name, dataset in load_config(yaml.safe_load(Path("config.yaml").read_text()), SCHEMA).datasets.items():
        folder = Path("results") / name
        (folder / "images").mkdir(parents=True)
        tiles = find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels))
        write_manifest(folder / "tiles.parquet", tiles, dataset.tfrecords)
        list(resolve(dataset, folder / "tiles.parquet", folder / "scenes.parquet", anew=False))
        plan = ImagePlan(dataset, read_lock(folder / "scenes.parquet"))
        for tile in tiles:
            make_image(plan, tile, folder / "images" / f"{tile.name}.tif")


def read_chips(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that a chip's reader gets but the names of scenes, by tile."""
    found = {}
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as chip:
            about = chip.dtypes, chip.nodatavals, chip.crs, chip.transform, chip.descriptions, chip.tags()["VALID"]
            found[path.stem.replace("#", ":")] = (chip.read().tobytes(), *about)
    return found
