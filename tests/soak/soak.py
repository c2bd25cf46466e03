"""Runs a dataset while its config changes, runs are killed and files damaged; it ends in the bytes of a clean run.

Usage: python tests/soak/soak.py SECONDS [SEED]

The scenes lie on a server that refuses, cuts and loses answers. Layers, steps, targets and grids come and go.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import rasterio

sys.path[:0] = [str(Path(__file__).parents[1])]

from soak_inputs import LAYERS, TARGETS, THREE, TWO, starting_config, write_ground  # noqa: E402

from support.projects import Project, kill_run  # noqa: E402
from support.range_server import RangeHandler, RangeServer, cut, reset, status  # noqa: E402

LOCAL, REMOTE = "resources/sample/catalog.json", "{server}/sample/catalog.json"
FIELDS = {"path": "resources/sample/labels.gpkg", "attribute": "class_id"}
ABSENT = object()
"""Stands for a key that the config does not have."""

CHANGES: dict[str, list[Any]] = {
    "requests": [1, 8, 32],
    "tiles_per_job": ["auto", 4, 4],
    "defaults.tiles.grid": ["dltile", {"crs": "EPSG:3035", "origin": [7, 3]}],
    "defaults.tiles.pad": [2, 4],
    "defaults.imagery.catalog": [LOCAL, REMOTE, REMOTE],
    "defaults.imagery.max_cloud": [0.3, 0.6, 0.9],
    "defaults.imagery.provenance": [False, True],
    "defaults.imagery.reference_date": ["2023-06-30", "2023-03-01"],
    "defaults.imagery.on_failure": ["fail", "exclude", "skip_scene"],
    "defaults.imagery.layers": [ABSENT, LAYERS, LAYERS],
    "defaults.imagery.layers.s2": [{}, {"scenes": 2}, {"periods": TWO}, {"periods": THREE}],
    "defaults.imagery.layers.s2.composite": ["closest", "median", "mean", "least_cloud"],
    "defaults.imagery.layers.mean.resolution": [10, 20],
    "defaults.imagery.layers.mean.min_valid": [0.0, 0.4],
    "defaults.imagery.layers.dem": [ABSENT, LAYERS["dem"], LAYERS["dem"]],
    "defaults.labels": [{"targets": TARGETS}, {"targets": TARGETS}, FIELDS],
    "defaults.labels.all_touched": [True, False],
    "defaults.labels.targets.cover.background": [255, 0],
    "defaults.labels.targets.landuse.resampling": ["mode", "nearest"],
    "defaults.labels.targets.height": [ABSENT, TARGETS["height"]],
    "defaults.labels.targets.objects": [ABSENT, TARGETS["objects"]],
    "defaults.tfrecords.storage": ["array", "float", "encoded"],
    "defaults.tfrecords.compression": [None, "GZIP"],
}
FAULTS = (status(503), status(429, "0"), status(404), cut, reset)
CHIPS = ("images", "labels", "provenance")


class Soak:
    """A project to which things happen at random, and how often each has happened."""

    def __init__(self, folder: Path, server: RangeServer, seed: int) -> None:
        self.project, self.clean = Project(folder / "soak"), Project(folder / "clean")
        self.server, self.draws, self.acts = server, random.Random(seed), Counter[str]()
        write_ground(self.project.folder)
        self.project.write(starting_config(REMOTE.format(server=server.url)))

    def act(self) -> str:
        """Do something at random, count it, and return what it was."""
        did = self.draws.choices([self.change, self.edit, self.damage, self.run], [6, 1, 4, 8])[0]()
        self.acts[did.partition(":")[0]] += 1
        return did

    def change(self) -> str:
        """Give one key of the config another value, or remove it."""
        config = self.project.config
        key = self.draws.choice([key for key in CHANGES if block_of(config, key) is not None])
        value, block, name = self.draws.choice(CHANGES[key]), block_of(config, key), key.rpartition(".")[2]
        if value is ABSENT:
            block.pop(name, None)
        else:
            block[name] = value.format(server=self.server.url) if isinstance(value, str) else value
        self.project.write(config)
        return f"changed: {key} = {'absent' if value is ABSENT else value}"

    def edit(self) -> str:
        """Change some pixels of a raster of heights or classes."""
        path = self.draws.choice(sorted(self.project.folder.glob("resources/[dl]*/*.tif")))
        with rasterio.open(path, "r+") as file:
            pixels = file.read()
            row, column = (self.draws.randrange(side // 2) for side in pixels.shape[1:])
            pixels[:, row : row + 50, column : column + 50] = self.draws.randint(1, 5)
            file.write(pixels)
        return f"edited: {path.parent.name}/{path.name}"

    def damage(self) -> str:
        """Delete, cut or overwrite a chip or shard, delete another result, or what Snakemake has recorded."""
        results, records = self.project.results(), self.project.folder / ".snakemake"
        files = {name: path for name, path in visible_files(results).items() if "stac/items" not in name}
        checked = {name for name in files if name.endswith(".tif") or "tfrecord-" in name}
        kind = self.draws.choice([sorted(checked), sorted(checked), sorted(files.keys() - checked), []])
        if not kind:
            shutil.rmtree(records, ignore_errors=True)
            return "damaged: .snakemake deleted"
        path = results / self.draws.choice(kind)
        how = self.draws.choice(["deleted", "cut", "overwritten"]) if kind[0] in checked else "deleted"
        if how == "deleted":
            path.unlink()
        else:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2] if how == "cut" else self.draws.randbytes(len(content)))
        return f"damaged: {path.relative_to(results)} {how}"

    def run(self) -> str:
        """A run that ends by itself, is killed or interrupted; in some, the server makes faults."""
        end = self.draws.choice([None, kill_run, kill_run, interrupt])
        patience = self.draws.uniform(0.5, 30) if end else None
        faults = Faults(self.draws.choice([0, 0, 0.02, 0.2]), self.draws.randrange(1000))
        self.server.guard = faults
        with (self.project.folder / "run.log").open("w") as log:
            process = self.project.start(output=log, cores=self.draws.choice([1, 2, 3]))
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                end(process)
                code = None
        self.server.guard = Faults(0, 0)
        text = (self.project.folder / "run.log").read_text()
        if "Traceback" in text or (code and not faults.made):
            raise SystemExit(text)
        how = "ran" if not code else "failed"
        if code is None:
            how = "killed" if end is kill_run else "interrupted"
        return f"{how}: {faults.made} faults"

    def settle(self) -> list[str]:
        """Run to the end, and compare with a clean run; returns the files that are missing, other, or too many."""
        assert (result := self.project.run()).returncode == 0, result.stdout
        shutil.rmtree(self.clean.folder, ignore_errors=True)
        shutil.copytree(self.project.folder / "resources", self.clean.folder / "resources")
        self.clean.write(self.project.config)
        assert (result := self.clean.run()).returncode == 0, result.stdout
        self.acts["compared"] += 1
        here, clean = visible_files(self.project.results()), visible_files(self.clean.results())
        wrong = [str(path) for path in self.project.results().rglob(".*.part")]
        wrong += [name for name, path in clean.items() if name not in here or not same_bytes(path, here[name])]
        return wrong + [name for name in here.keys() - clean.keys() if name.partition("/")[0] not in CHIPS]


class Faults:
    """Whether the server answers a request with a fault, at random.

    Attributes:
        made: How many faults there were.
    """

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.draws, self.made = share, random.Random(seed), 0

    def __call__(self, handler: RangeHandler) -> bool:
        if self.draws.random() >= self.share:
            return False
        self.made += 1
        return self.draws.choice(FAULTS)(handler)


def block_of(config: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The block of the config that holds a key such as `defaults.imagery.max_cloud`; None if there is none."""
    block: Any = config
    for name in key.split(".")[:-1]:
        block = block.get(name)
        if not isinstance(block, dict):
            return None
    return block


def interrupt(process: subprocess.Popen[str]) -> None:
    """Stop a run as Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    process.wait()


def visible_files(folder: Path) -> dict[str, Path]:
    """The files below a folder by their relative path, but not hidden ones, which hold times."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in files.items() if not any(part[0] == "." for part in Path(name).parts)}


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files have the same content."""
    return one.read_bytes() == other.read_bytes()


def soak(folder: Path, seconds: float, seed: int, between: float = 240) -> Counter[str]:
    """Act at random until the time is up; compare with a clean run now and then, and at the end."""
    began = time.monotonic()
    with RangeServer(folder / "soak" / "resources") as server:
        soaked, next_comparison = Soak(folder, server, seed), between
        while (now := time.monotonic() - began) < seconds or soaked.acts["compared"] == 0:
            print(f"{now:6.0f} s  {soaked.act()}", flush=True)
            if min(next_comparison, seconds) < time.monotonic() - began:
                next_comparison = time.monotonic() - began + between
                if wrong := soaked.settle():
                    raise SystemExit(f"seed {seed}: other than from a clean run: {', '.join(wrong)}; see {folder}")
                print(f"{time.monotonic() - began:6.0f} s  the same bytes as a clean run", flush=True)
    shutil.rmtree(folder)
    return soaked.acts


if __name__ == "__main__":
    time_given, seed_given = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    done = soak(Path(tempfile.mkdtemp(prefix="soak")), time_given, seed_given)
    print(f"seed {seed_given}: {', '.join(f'{n} {what}' for what, n in sorted(done.items()))}")
