"""The raster files that a label layer names, and the ground that they cover."""

import glob
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import shapely
from rasterio.errors import RasterioError

from segchips.config.labels import RASTER_SUFFIXES
from segchips.errors import InputError
from segchips.tiles.label_catalogue import catalogue_files, is_catalogue
from segchips.vectors.layers import VectorLayer
from segchips.vectors.parquet_source import is_parquet

_TABLE = ".vat.dbf"
_VECTORS = (".shp", ".geojson", ".json", ".fgb", ".gdb", ".kml", ".csv", ".gml", ".sqlite")


def raster_files(path: str, asset: str | None = None) -> tuple[str, ...]:
    """Returns the rasters that a label path names: a file, those of a folder or of a pattern, in the order of names.

    Args:
        path: A raster, a folder, a pattern such as `maps/*.tif`, or a STAC catalogue.
        asset: The key of the asset that a catalogue's items have; None for other paths.

    Returns:
        The files; empty where the path names vector features.

    Raises:
        InputError: A pattern matches no raster, or a catalogue cannot be used, or lacks the key of an asset.
    """
    if asset is not None:
        return catalogue_files(path, asset)
    place = Path(path)
    if any(mark in path for mark in "*?[") and not place.exists():
        found = sorted(name for name in glob.glob(path, recursive=True) if _is_raster_name(Path(name)))
        if not found:
            raise InputError(f"'{path}' matches no raster ({', '.join(RASTER_SUFFIXES)})")
        return tuple(found)
    if is_parquet(path) or place.suffix.lower() in _VECTORS:
        if place.suffix.lower() in (".json", ".geojson") and is_catalogue(path):
            raise InputError(f"'{path}' is a STAC catalogue; name the asset that holds the labels with labels.asset")
        return ()
    if place.is_dir():
        found = sorted(str(file) for file in place.iterdir() if _is_raster_name(file))
        return tuple(found) or ((path,) if _opens(path) else ())
    return (path,) if place.suffix.lower() in RASTER_SUFFIXES or _opens(path) else ()


def source_files(path: str, asset: str | None = None) -> list[str]:
    """Returns the files that the content of a label path depends on; the path itself where it names features."""
    files = raster_files(path, asset)
    if not files or Path(path).is_dir():
        return [path]
    found: list[str] = []
    if files == (path,):
        with suppress(RasterioError), rasterio.open(path) as source:
            found = [file for file in source.files if Path(file).exists()]
    beside = [path] if asset is not None else []
    beside += [f"{file}.aux.xml" for file in files] + [str(table_beside(file) or "") for file in files]
    return list(dict.fromkeys([*(found or files), *(file for file in beside if file and Path(file).exists())]))


def table_beside(path: str) -> Path | None:
    """Returns the attribute table that ArcGIS wrote beside a raster, such as `map.tif.vat.dbf`, or None."""
    places = (Path(f"{path}{_TABLE}"), Path(path).with_suffix(_TABLE))
    return next((place for place in places if place.exists()), None)


def raster_extents(path: str, asset: str | None = None) -> VectorLayer:
    """Returns the outlines of a label path's rasters as features, in lon/lat.

    Raises:
        InputError: A file cannot be read or has no place on the earth.
    """
    files = raster_files(path, asset)
    outlines = np.array([_known_outline(file) for file in files], dtype=object)
    return VectorLayer(path, Path(path).stem, pyproj.CRS(4326), outlines, np.arange(len(files)), None, 0, 0)


def _known_outline(file: str) -> shapely.Polygon:
    outline = raster_outline(file)
    if outline is None:
        raise InputError(f"'{file}' reaches beyond the earth or around a pole; name the area with tiles.aoi")
    return outline


def raster_outline(file: str) -> shapely.Polygon | None:
    """Returns the outline of a raster in lon/lat; None where it reaches beyond the earth or around a pole.

    Raises:
        InputError: The file cannot be read or has no place on the earth.
    """
    try:
        with rasterio.open(file) as source:
            if not source.crs or source.transform.is_identity:
                raise InputError(f"'{file}' has no georeference: no CRS or no geotransform")
            steps = np.linspace(0, 1, 21)
            zeros = np.zeros(20)
            columns = np.concatenate([steps[:-1], zeros + 1, steps[:0:-1], zeros, zeros[:1]]) * source.width
            rows = np.concatenate([zeros, steps[:-1], zeros + 1, steps[:0:-1], zeros[:1]]) * source.height
            x, y = source.transform * (columns, rows)
            crs = pyproj.CRS(source.crs.to_wkt())
    except RasterioError as error:
        raise InputError(f"'{file}' cannot be read as a raster: {error}") from error
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    lon = np.unwrap(lon, period=360)
    return None if abs(lon[-1] - lon[0]) > 180 else shapely.Polygon(np.column_stack([lon, lat]))


def _is_raster_name(file: Path) -> bool:
    return file.suffix.lower() in RASTER_SUFFIXES and not file.name.startswith(".")


@lru_cache(maxsize=256)
def _opens(path: str) -> bool:
    """Whether GDAL reads pixels from a path, and no features."""
    import pyogrio

    try:
        with rasterio.open(path):
            pass
    except RasterioError:
        return False
    try:
        return not any(kind is not None for _, kind in pyogrio.list_layers(path))
    except RuntimeError:
        return True
