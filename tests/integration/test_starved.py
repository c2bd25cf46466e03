"""Without room, permission or file handles: one message, no half file under a final name, a rerun that completes."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

import segchips
from segchips.chips.chip_file import chip_made_from, write_chip
from segchips.errors import StorageError
from segchips.files import atomic_path, atomic_write
from support.datasets import tile_at
from support.projects import Project

DISKS = os.environ.get("SEGCHIPS_DISKS", "120").split(",")


def mounted(folder: Path, options: str) -> bool:
    """Whether a file system in memory could be put there."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    if not mounted(tmp_path / "disk", "size=64k"):
        pytest.skip("only root may mount")
    yield tmp_path / "disk"
    subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)


def fill(disk: Path, free: int) -> None:
    (disk / "ballast").unlink(missing_ok=True)
    with (disk / "ballast").open("wb") as stream:
        stream.write(bytes(65536 - free))


@pytest.mark.parametrize("free", range(0, 45056, 4096))
def test_a_chip_on_a_full_disk_is_whole_or_not_there(small_disk: Path, free: int) -> None:
    fill(small_disk, free)
    tile, path = tile_at(size=64), small_disk / "chip.tif"
    pixels = np.random.default_rng(0).integers(0, 9999, (4, 64, 64)).astype("uint16")
    try:
        write_chip(path, pixels, tile, list("abcd"), 0, {"VALID": "1.0", "MADE_FROM": "a"})
    except StorageError as error:
        assert str(error).startswith(f"{path}: cannot be written (No space left on device)")
        assert sorted(each.name for each in small_disk.iterdir()) == ["ballast"]
    else:
        assert chip_made_from(path, tile.key) == "a"


@pytest.mark.parametrize("free", range(0, 61440, 4096))
def test_a_mosaic_on_a_full_disk_is_whole_or_not_there(small_disk: Path, free: int) -> None:
    """Two tiles far enough apart for overviews, of noise, so that every byte of them takes room."""
    fill(small_disk, free)
    path, tiles = small_disk / "new" / "map.tif", [tile_at(size=64, east=east) for east in (0, 9)]
    noise = np.random.default_rng(0).integers(0, 250, (2, 64, 64)).astype("uint8")
    try:
        segchips.mosaic(zip([tile.key for tile in tiles], noise, strict=True), path)
    except StorageError as error:
        assert str(error) == f"{path}: cannot be written (No space left on device); mend that and run again"
        assert [each.name for each in small_disk.rglob("*") if each.is_file()] == ["ballast"]
        assert free < 49152
    else:
        with rasterio.open(path) as mosaic:
            found, overviews = mosaic.read(1), mosaic.overviews(1)
        right = np.full((60, 600), 255)
        right[:, :60], right[:, -60:] = noise[:, 2:-2, 2:-2]
        np.testing.assert_array_equal(found, right)
        assert overviews and [each.name for each in path.parent.iterdir()] == ["map.tif"]


def test_a_lock_on_a_full_disk_says_what_the_system_says(small_disk: Path) -> None:
    fill(small_disk, 4096)
    with (
        pytest.raises(StorageError, match=r"scenes\.parquet: cannot be written \(No space left on device\)"),
        atomic_path(small_disk / "scenes.parquet") as part,
    ):
        pq.write_table(pa.table({"a": np.random.default_rng(0).random(9000)}), part)
    assert [each.name for each in small_disk.iterdir()] == ["ballast"]


def test_a_missing_input_is_no_storage_trouble(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "missing").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("size", DISKS)
def test_a_run_on_a_full_disk_names_it_and_completes_later(fresh: Project, sample_run: Project, size: str) -> None:
    """As many KiB hold the manifest, some chips, or all chips and some shards."""
    disk = fresh.folder / "results"
    if not mounted(disk, f"size={size}k"):
        pytest.skip("only root may mount")
    try:
        result = fresh.run()
        assert result.returncode == 1
        assert "cannot be written (No space left on device)" in " ".join(result.stdout.split()), result.stdout
        assert "Traceback" not in result.stdout, result.stdout
        right = sample_run.file_bytes("results/**/*")
        for path, content in fresh.file_bytes("results/sample/[ilt]*/*").items():
            assert "/." not in path and content == right[path], path
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert fresh.run().returncode == 0
        for path, content in right.items():
            assert (fresh.folder / path).read_bytes() == content, path
        assert not list(disk.rglob("*.part"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


UNMOUNTED = "results: 'results' vanished, or another took its place, during the run"
CHANGES = {
    "unmounted": (["umount", "-l"], UNMOUNTED),
    "read-only": (["mount", "-o", "remount,bind,ro"], "cannot be written (Read-only file system)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("made", ["tiles.parquet", "images/*.tif", "tfrecords/*.tfrecord-*"])
def test_results_lost_during_a_run_stay_whole_and_are_continued(
    fresh: Project, sample_run: Project, change: str, made: str
) -> None:
    """A folder mounted as the results is taken away once something is made."""
    disk, store = fresh.folder / "results", fresh.folder / "store"
    for folder in (disk, store):
        folder.mkdir()
    bind = ["mount", "--bind", str(store), str(disk)]
    if os.geteuid() or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        process = fresh.start("--latency-wait", "1")
        while process.poll() is None and not list(disk.glob(f"sample/{made}")):
            time.sleep(0.01)
        if change == "read-only":
            subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
        command = [*CHANGES[change][0], str(disk)]
        while subprocess.run(command, capture_output=True).returncode and process.poll() is None:
            time.sleep(0.001)  # a mount is busy while a file in it is open for writing
        output = process.communicate()[0]
        assert process.returncode == 1 and "Traceback" not in output, output
        assert CHANGES[change][1] in " ".join(output.split()), output
        right = sample_run.file_bytes("results/**/*")
        for place in (store, disk):
            for path in (path for path in place.rglob("*") if path.is_file() and not path.name.startswith(".")):
                assert path.read_bytes() == right[f"results/{path.relative_to(place)}"], path
        disk.mkdir(exist_ok=True)  # a folder that has become empty may be removed with the outputs of a job that failed
        subprocess.run(["umount", str(disk)] if change == "read-only" else bind, check=True)
        assert fresh.run().returncode == 0
        assert fresh.file_bytes("results/**/*") == right
        assert not list(disk.rglob("*.part"))
    finally:
        while subprocess.run(["umount", "-l", str(disk)], capture_output=True).returncode == 0:
            pass


def test_read_only_results_are_named_before_anything_runs(fresh: Project) -> None:
    disk = fresh.folder / "results"
    if not mounted(disk, "ro"):
        pytest.skip("only root may mount")
    try:
        result = fresh.run()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert result.returncode == 1 and "results: 'results' cannot be written" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_few_file_handles_are_enough(fresh: Project, sample_run: Project) -> None:
    process = fresh.start()
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 64))
    output = process.communicate()[0]
    assert process.returncode == 0, output
    for path, content in sample_run.file_bytes("results/**/*").items():
        assert (fresh.folder / path).read_bytes() == content, path


@pytest.mark.slow
def test_deleted_results_are_made_again(project: Project) -> None:
    right = project.file_bytes("results/sample/tfrecords/*")
    shutil.rmtree(project.folder / "results")
    atomic_write(project.folder / "results" / "sample" / "note.txt", "a user's own")
    assert project.run().returncode == 0
    assert project.file_bytes("results/sample/tfrecords/*") == right
