"""What a run in portions has in common with one that makes each chip by a job of its own."""

from collections.abc import Callable

import rasterio.shutil

from support.projects import Project


def files(project: Project) -> dict[str, bytes]:
    """The bytes of all results that a reader sees."""
    return project.file_bytes("results/**/*")


def chips(project: Project, folder: str = "") -> dict[str, tuple[int, int]]:
    """What changes when a chip is made again, by path; of a module that was moved to a folder."""
    found = sorted(project.folder.glob(f"{folder}results/*/[ilp]*/**/*.tif"))
    return {
        str(path.relative_to(project.folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in found
        if not path.is_symlink() and not any(parent.is_symlink() for parent in path.parents)
    }


def made(project: Project, *arguments: str) -> set[str]:
    """Run, expect success, and return the chips that were made or removed."""
    before = chips(project)
    result = project.run(*arguments)
    assert result.returncode == 0, result.stdout
    after = chips(project)
    return {path for path in before | after if before.get(path) != after.get(path)}


def damage(project: Project, scene: int = 4) -> Callable[[], None]:
    """Spoil a corner of a scene's band, which one tile reads; returns what brings it back."""
    band = sorted(project.folder.glob("resources/sample/sample-l2a/*/*B04.tif"))[scene]
    content, blocks = band.read_bytes(), project.folder / "blocks.tif"
    rasterio.shutil.copy(band, blocks, driver="COG", blocksize=64, overviews="NONE", compress="DEFLATE")
    band.write_bytes(blocks.read_bytes()[:-100] + bytes(100))

    def mend() -> None:
        band.write_bytes(content)

    return mend
