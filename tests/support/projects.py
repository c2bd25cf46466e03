"""Projects in which the real workflow runs as a user would run it."""

import csv
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

REPOSITORY = Path(__file__).resolve().parents[2]


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

    def run_and_count(self, *arguments: str) -> Counter[str]:
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

    def chip_contents(self, pattern: str) -> dict[str, tuple[object, ...]]:
        """The pixels, profile and tags of chips, but not what they were made from, nor the checksum of all that."""
        contents = {}
        for path in sorted(self.folder.glob(pattern)):
            with rasterio.open(path) as chip:
                tags = {name: value for name, value in chip.tags().items() if name not in ("MADE_FROM", "CHECKSUM")}
                contents[str(path.relative_to(self.folder))] = (chip.read().tobytes(), str(chip.profile), tags)
        return contents

    def file_bytes(self, pattern: str) -> dict[str, bytes]:
        """The bytes of files, but not of hidden ones and those in hidden folders, which hold times."""
        found = (path for path in sorted(self.folder.glob(pattern)) if path.is_file())
        names = {str(path.relative_to(self.folder)): path for path in found}
        return {name: path.read_bytes() for name, path in names.items() if "/." not in f"/{name}"}


def chips_and_shards(jobs: Counter[str]) -> dict[str, int]:
    """How many jobs made image chips, label chips and shards; rules without jobs are left out."""
    return {rule: jobs[rule] for rule in ("images", "labels", "tfrecords") if jobs[rule]}


def chips_touched(project: Project, shapes: list[shapely.Geometry]) -> set[str]:
    """The file names of label chips whose grid one of the lon/lat shapes touches."""
    touched = set()
    for path in project.results().glob("labels/*.tif"):
        with rasterio.open(path) as chip:
            inside = geopandas.GeoSeries(shapes, crs=4326).to_crs(chip.crs).intersects(shapely.box(*chip.bounds))
        if inside.any():
            touched.add(path.name)
    return touched


def kill_run(process: subprocess.Popen[str]) -> None:
    """Kill a run and every process that it started."""
    root = psutil.Process(process.pid)
    root.suspend()
    for process_of_run in (*root.children(recursive=True), root):
        process_of_run.kill()
    process.wait()


def sample_config() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
