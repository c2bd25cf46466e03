"""Runs the sample while its config changes, runs are killed and files damaged; it ends in the bytes of a clean run.

Usage: python tests/soak/soak.py SECONDS [SEED]
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from support.projects import Project, kill_run, sample_config  # noqa: E402

CHANGES = {
    "defaults.imagery.composite": ["closest", "median", "mean"],
    "defaults.imagery.max_cloud": [0.3, 0.6, 0.9],
    "defaults.imagery.min_valid": [0.0, 0.4],
    "defaults.imagery.provenance": [False, True],
    "defaults.imagery.reference_date": ["2023-06-30", "2023-03-01"],
    "defaults.labels.all_touched": [True, False],
    "defaults.labels.background": [255, 0],
    "defaults.labels.unknown": [None, 254],
    "defaults.tfrecords.storage": ["array", "float", "encoded"],
    "defaults.tfrecords.compression": [None, "GZIP"],
    "defaults.tiles.pad": [2, 4],
}
COMPARED = ("images/*.tif", "labels/*.tif", "tfrecords/*", "ledger.csv", "README.md", "stac/**/*.json")


def changed(project: Project, draws: random.Random) -> str:
    """Give one key of the config another value."""
    key = draws.choice(sorted(CHANGES))
    value = draws.choice(CHANGES[key])
    project.change(key, value)
    return f"{key} = {value}"


def damaged(project: Project, draws: random.Random) -> str:
    """Delete, cut or overwrite one file of the results that a rerun has to make again."""
    chips = sorted(project.results().glob("[il]*/*.tif"))
    if not chips:
        return "nothing to damage"
    chip, how = draws.choice(chips), draws.choice(["deleted", "cut", "overwritten"])
    if how == "deleted":
        chip.unlink()
    else:
        content = chip.read_bytes()
        chip.write_bytes(content[: len(content) // 2] if how == "cut" else draws.randbytes(len(content)))
    return f"{chip.parent.name}/{chip.name} {how}"


def run(project: Project, draws: random.Random) -> str:
    """A run that ends by itself, or is killed some time after it began."""
    patience = draws.choice([None, draws.uniform(0.5, 30)])
    with (project.folder / "run.log").open("w") as log:
        process = project.start(output=log)
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            kill_run(process)
            return f"killed after {patience:.1f} s"
    if code:
        raise SystemExit((project.folder / "run.log").read_text())
    return "ran"


def differences(project: Project, clean: Project) -> list[str]:
    """The files of a clean run that are missing or other in the project, and files left unfinished."""
    wrong = [str(path) for path in project.results().rglob(".*.part")]
    for pattern in COMPARED:
        for path, content in clean.file_bytes(f"results/sample/{pattern}").items():
            here = project.folder / path
            if not here.exists() or here.read_bytes() != content:
                wrong.append(path)
    return wrong


def soak(folder: Path, seconds: float, seed: int) -> Counter[str]:
    """Act at random until the time is up, then compare with a clean run of the final config."""
    draws, end, acts = random.Random(seed), time.monotonic() + seconds, Counter[str]()
    project, clean = Project(folder / "soak"), Project(folder / "clean")
    project.folder.mkdir()
    project.write(sample_config())
    while time.monotonic() < end:
        act = draws.choices([changed, damaged, run], [3, 2, 4])[0]
        did = act(project, draws)
        acts[act.__name__ if act is not run else did.split()[0]] += 1
        print(f"{time.monotonic() - end + seconds:6.0f} s  {did}", flush=True)
    assert project.run().returncode == 0
    shutil.copytree(project.folder / "resources", clean.folder / "resources")
    clean.write(project.config)
    assert clean.run().returncode == 0
    if wrong := differences(project, clean):
        raise SystemExit(f"seed {seed}: other than from a clean run: {', '.join(wrong)}; see {folder}")
    shutil.rmtree(folder)
    return acts


if __name__ == "__main__":
    time_given, seed_given = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    done = soak(Path(tempfile.mkdtemp(prefix="soak")), time_given, seed_given)
    print(
        f"seed {seed_given}: the same bytes as a clean run after {', '.join(f'{n} {what}' for what, n in done.items())}"
    )
