"""Which files of a folder are rasters: GeoTIFF, JPEG 2000, Erdas Imagine, NetCDF, Zarr, and pictures with a place."""

from pathlib import Path

from segchips.commands.conventions import known_file
from segchips.errors import InputError

MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".jp2": "image/jp2",
    ".img": "application/x-erdas-hfa",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".nc": "application/netcdf",
    ".zarr": "application/vnd+zarr",
}
"""Media types by suffix."""
_PICTURES = {".jpg", ".jpeg", ".png"}


def is_raster_name(path: Path) -> bool:
    """Return whether the suffix of a path is that of a raster."""
    return path.suffix.lower() in MEDIA_TYPES


def find_rasters(folder: Path) -> list[Path]:
    """Returns all rasters below a folder, sorted.

    Files and folders whose names begin with a dot are left out, and so are files that the convention of their product
    says to be neither band nor mask, and pictures (JPEG, PNG) without a world file.

    Raises:
        InputError: The folder does not exist or has no such file.
    """
    if not folder.is_dir():
        raise InputError(f"'{folder}' is not a folder; name the folder of the rasters")
    rasters = rasters_below(folder)
    if not rasters:
        raise InputError(no_rasters(folder))
    return rasters


def no_rasters(folder: Path) -> str:
    """Return the message for a folder without rasters."""
    plain = ", ".join(suffix for suffix in MEDIA_TYPES if suffix not in _PICTURES)
    return f"'{folder}' holds no raster ({plain}, or .jpg and .png with a world file); name the folder of the rasters"


def rasters_below(folder: Path) -> list[Path]:
    """Returns the files that `find_rasters` finds; an empty list where there is none."""
    named = sorted(path for path in folder.rglob("*") if is_raster_name(path))
    return [path for path in named if not _is_left_out(path, path.relative_to(folder))]


def _is_left_out(path: Path, inside: Path) -> bool:
    suffix = path.suffix.lower()
    if any(part.startswith(".") or part == "__MACOSX" for part in inside.parts):
        return True
    if any(parent.suffix.lower() == ".zarr" for parent in inside.parents):
        return True
    if path.is_dir() != (suffix == ".zarr"):
        return True
    if suffix in _PICTURES and not _has_place(path):
        return True
    known = known_file(path)
    return known is not None and known.band is None


def _has_place(path: Path) -> bool:
    """Whether a picture has a world file, or metadata of GDAL with a geotransform, beside it."""
    kind = path.suffix.lower().lstrip(".")
    world = {f".{kind[0]}{kind[-1]}w", f".{kind}w", ".wld"}
    if any(path.with_suffix(suffix).exists() or path.with_suffix(suffix.upper()).exists() for suffix in world):
        return True
    metadata = path.with_name(f"{path.name}.aux.xml")
    return metadata.is_file() and "<GeoTransform>" in metadata.read_text(encoding="utf-8", errors="replace")
