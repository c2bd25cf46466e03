"""The files of chips in a folder and the folders inside it, and what lies beside them."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segchips.errors import InputError
from segchips.records.chip_header import Sidecars

# fmt: off
# fmt: off
_RASTERS = frozenset([
    "tif", "tiff", "gtiff", "gtif", "btf", "tf8", "png", "jpg", "jpeg", "jpe", "jp2", "j2k", "jpx", "jpf", "img",
    "mrf", "bmp", "dib", "gif", "webp", "bil", "bip", "bsq", "dat", "raw", "bin", "bt", "asc", "flt", "dem", "hgt",
    "pix", "ntf", "nitf", "nsf", "kea", "ers", "grd", "nc", "hdf", "h5", "he5", "hdf5", "pgm", "ppm", "pbm", "pnm",
    "tga", "exr", "jxl", "avif", "heif", "heic", "vrt", "lan", "gis", "rik", "sid", "ecw", "lerc", "fits", "xyz",
    "blx", "bag", "pcx", "sgi", "npy", "npz",
])
# fmt: on
# fmt: on
"""Extensions of files that hold pixels."""
_WORLD_FILE = re.compile(
    r"\.(?:wld|(?:tf|tif|tiff|pg|png|jg|jp|jpg|jpeg|gf|gif|bp|bmp|j2|jp2|iw|il|bl|bq|bpl|sd|ec|eww|px)wx?)$", re.I
)
_NO_CHIP = re.compile(
    r"\.(?:aux|xml|ovr|msk|prj|prjx|hdr|tab|json|jsonl|geojson|csv|tsv|txt|md|rst|html?|pdf|docx?|xlsx?|ya?ml|ini|log"
    r"|lock|lck|db|emd|dlpk|clr|vat|dbf|shp|shx|cpg|sbn|sbx|qix|qml|qgz|qlr|lyrx?|imd|rpb|rpc|til|att|eph|geo|stx|met"
    r"|mtl|idx|ppg|pjg|pzp|pzs|psz|lrc|ptf|ige|rrd|rde|pkl|parquet|gpkg|zip|tgz|gz|tar|7z|py|sh|ipynb|bak|md5|sha1"
    r"|sha256|part|tmp|kml|kmz|license|xsd|dtd)$",
    re.I,
)
_FOLDERS_BESIDE = ("__macosx", "@eadir", "$recycle.bin", "system volume information")


@dataclass(frozen=True)
class ChipFiles:
    """The chips of a folder.

    Attributes:
        folder: The folder.
        files: The paths of the chip files, relative to the folder, with "/" between folders; sorted.
    """

    folder: Path
    files: Sequence[str]
    _sidecars: Mapping[str, Sidecars]
    _beside: Mapping[str, Sequence[str]]

    def sidecars_of(self, file: str) -> Sidecars:
        """The files beside a chip file that can add to its header."""
        if not self._sidecars:
            return Sidecars.NONE
        return max(self._sidecars.get(name, Sidecars.NONE) for name in (file, stem(file)))

    def beside(self, file: str) -> list[str]:
        """The paths of the files beside a chip file that GDAL may read with it."""
        found = [path for name in (file, stem(file)) for path in self._beside.get(name, ())] if self._beside else []
        return [f"{self.folder}/{path}" for path in dict.fromkeys(found)]


def stem(file: str) -> str:
    """A relative path without its extension."""
    folder, slash, name = file.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def extension(file: str) -> str:
    """The extension of a file, in lower case and without its dot; empty without one."""
    name = file.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name[1:] else ""


def _walk(folder: str, prefix: str, entered: tuple[str, ...]) -> Iterator[str]:
    real = os.path.realpath(folder)
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or entry.name.lower() in _FOLDERS_BESIDE:
            continue
        is_folder = entry.is_dir(follow_symlinks=not extension(entry.name)) and extension(entry.name) not in _RASTERS
        if is_folder and os.path.realpath(entry.path) not in (*entered, real):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", (*entered, real))
        elif entry.is_symlink() or entry.is_file():
            yield prefix + entry.name


def list_chips(folder: Path) -> ChipFiles:
    """List the chips of a folder and of the folders inside it.

    Hidden files, world files and other files that come beside rasters are not chips, nor is a file whose extension is
    not that of a raster if a raster of the same name lies beside it.

    Raises:
        InputError: The folder cannot be read or has no chips.
    """
    try:
        paths = sorted(_walk(str(folder), "", ()))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); name a folder of chips") from error
    rasters = {stem(path) for path in paths if extension(path) in _RASTERS}
    by_path = {path for path in paths if extension(path) in _RASTERS}
    files: list[str] = []
    sidecars: dict[str, Sidecars] = defaultdict(lambda: Sidecars.NONE)
    companions: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        world = bool(_WORLD_FILE.search(path))
        beside = stem(path) in by_path or stem(path) in rasters and extension(path) not in _RASTERS
        if world or beside or _NO_CHIP.search(path):
            kind = Sidecars.WORLD_FILE if world else Sidecars.OTHER
            for name in (stem(path), stem(stem(path))):
                sidecars[name] = max(sidecars[name], kind)
                companions[name].append(path)
        else:
            files.append(path)
    if not files:
        raise InputError(f"{folder} holds no chips, nor do the folders inside it; name a folder of chips")
    return ChipFiles(folder, files, dict(sidecars), dict(companions))
