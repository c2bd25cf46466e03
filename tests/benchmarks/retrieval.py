"""Tiles from a platform that answers in 250 ms, with 1, 4 and 16 requests at once, beside the job graph alone.

python tests/benchmarks/retrieval.py [columns rows]      20 x 12 tiles unless named
"""

import base64
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from loopback.server import Platform  # noqa: E402
from segchips.sample.sample import write_sample  # noqa: E402

CORES, LATENCY = 2, 0.25

# The jobs of tiles and what they hang on, with nothing to do in any of them.
EMPTY = """
KEYS = open("keys.txt").read().split()
CHIPS = [f"out/{kind}/{key}.tif" for kind in ("images", "labels") for key in KEYS]
DIGESTS = {key: "digest of " + key for key in KEYS}
workflow.register_resource("requests", 32)

def touch(path):
    open(str(path), "w").close()

rule all:
    input: lambda wildcards: CHIPS
checkpoint scenes:
    output: "out/scenes"
    run: touch(output[0])
checkpoint label_lock:
    output: "out/label_lock"
    run: touch(output[0])
rule images:
    input: lambda wildcards: ancient(checkpoints.scenes.get().output[0])
    output: "out/images/{tile}.tif"
    params: digest=lambda wildcards: DIGESTS[wildcards.tile]
    threads: lambda wildcards: 0
    resources: requests=lambda wildcards: 1
    run: touch(output[0])
rule labels:
    input: lambda wildcards: ancient(checkpoints.label_lock.get().output[0])
    output: "out/labels/{tile}.tif"
    params: digest=lambda wildcards: DIGESTS[wildcards.tile]
    run: touch(output[0])
"""


def snakemake(folder: Path, *arguments: str, **options: Any) -> None:
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--cores", str(CORES), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def rates(folder: Path) -> tuple[float, float]:
    """Image chips a second, and tiles a second with their labels, by when Snakemake was done with their jobs."""
    ended: dict[str, list[float]] = {"images": [], "labels": []}
    for path in (folder / ".snakemake/metadata").rglob("*"):
        name = "".join(part.removeprefix("@") for part in path.relative_to(folder / ".snakemake/metadata").parts)
        kind = base64.urlsafe_b64decode(name + "==").decode(errors="replace").split("/")[-2:-1]
        if path.is_file() and kind and kind[0] in ended:
            ended[kind[0]].append(path.stat().st_mtime)
    both = ended["images"] + ended["labels"]
    count = len(ended["images"]) - 1
    return count / (max(ended["images"]) - min(ended["images"])), count / (max(both) - min(both))


def empty_run(folder: Path, keys: list[str]) -> float:
    """Tiles a second, images and labels together."""
    folder.mkdir()
    (folder / "Snakefile").write_text(EMPTY)
    (folder / "keys.txt").write_text("\n".join(keys))
    profile = str(REPOSITORY / "workflow/profiles/default")
    snakemake(folder, "--snakefile", str(folder / "Snakefile"), "--workflow-profile", profile)
    return rates(folder)[1]


def run(folder: Path, source: str, requests: int, imagery: dict[str, Any]) -> tuple[float, float, float, int]:
    """Image chips and whole tiles a second, requests for pixels a tile, and how many were under way at once."""
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    config["requests"] = requests
    config["defaults"]["imagery"] |= {"source": source, "cloud_mask": None, **imagery}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for made in ("results", "logs", ".snakemake"):
        shutil.rmtree(folder / made, ignore_errors=True)
    with Platform(folder / "resources/sample/catalog.json", latency=LATENCY, home=folder / "home") as platform:
        workflow = ["--snakefile", str(REPOSITORY / "workflow/Snakefile"), "--configfile", str(folder / "config.yaml")]
        snakemake(folder, *workflow, env=platform.environment())
        asked, most = len(platform.log.of("raster")), platform.log.max_concurrent("raster")
    chips = len(list((folder / "results/sample/images").glob("*.tif")))
    return *rates(folder), asked / chips, most


def main() -> None:
    columns, rows = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (20, 12)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "resources/sample", columns=columns, rows=rows)
        speeds = {requests: run(folder, "earthone", requests, {}) for requests in (1, 4, 16)}
        keys = [path.stem for path in (folder / "results/sample/images").glob("*.tif")]
        empty = empty_run(folder / "empty", keys)
        print(f"{len(keys)} tiles, {CORES} cores, answers after {LATENCY} s")
        print(f"the job graph with empty bodies: {empty:.1f} tiles/s")
        for requests, (speed, together, asked, most) in speeds.items():
            ideal = requests / LATENCY
            print(
                f"{requests:3} requests at once: {speed:5.1f} images/s = {speed / ideal:4.0%} of {ideal:g}; "
                f"with labels {together:5.1f} tiles/s = {together / empty:4.0%} of the empty graph; "
                f"{asked:g} requests a tile, {most} at once"
            )
        mask = {"product": "sample-l2a:cloud_mask", "band": "cloud_mask", "clear": [0]}
        for composite in ("closest", "median"):
            for cloud_mask in (None, mask):
                about = {"composite": composite, "cloud_mask": cloud_mask}
                _, _, asked, _ = run(folder, "descarteslabs", 16, about)
                print(f"{composite}{' with a cloud mask' if cloud_mask else ''}: {asked:.2f} requests a tile")


if __name__ == "__main__":
    main()
