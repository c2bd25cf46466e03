"""Checks of Python, packages, GDAL and PROJ."""

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from segchips.commands.finding import Finding

_LEAST_PYTHON = (3, 11)
_RASTER_DRIVERS = {
    "GTiff": "GeoTIFF, of which chips are made",
    "JP2OpenJPEG": "JPEG 2000, as of Sentinel-2 SAFE",
    "JPEG": "JPEG",
    "PNG": "PNG",
    "HFA": "Erdas Imagine",
    "VRT": "virtual rasters",
    "netCDF": "NetCDF",
    "Zarr": "Zarr",
    "MRF": "chips of ArcGIS as MRF",
}
_VECTOR_DRIVERS = {
    "GPKG": "GeoPackage",
    "ESRI Shapefile": "shapefiles",
    "GeoJSON": "GeoJSON",
    "FlatGeobuf": "FlatGeobuf",
    "OpenFileGDB": "file geodatabases",
    "KML": "KML",
}
_NEEDED = {"GTiff", "GPKG", "ESRI Shapefile", "GeoJSON"}
_INSTALL = "pip install --force-reinstall {}"


def check_python() -> Iterator[Finding]:
    """Check the version of Python, and that it is UTF-8."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _LEAST_PYTHON:
        yield Finding("fail", "Python", f"{version} is too old; make an environment with Python 3.11 or newer")
    else:
        yield Finding("ok", "Python", f"{version} in {sys.prefix}")
    if sys.getfilesystemencoding().lower() not in ("utf-8", "utf8"):
        yield Finding("fail", "Python", "file names are not UTF-8; set LC_ALL=C.UTF-8")


def check_packages() -> Iterator[Finding]:
    """Check the packages of the workflow and their versions."""
    from packaging.requirements import Requirement

    try:
        own = metadata.distribution("segchips")
    except metadata.PackageNotFoundError:
        yield Finding(
            "fail", "packages", "segchips is not installed; run make run, or pip install --editable '.[workflow]'"
        )
        return
    problems, count = [], 0
    for requirement in map(Requirement, _declared(own)):
        count += 1
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if problems:
        yield Finding("fail", "packages", f"{'; '.join(problems)}; run: pip install --editable '.[workflow]'")
    else:
        snakemake = metadata.version("snakemake")
        yield Finding("ok", "packages", f"segchips {own.version}, Snakemake {snakemake}, {count} packages as declared")
    found = {name: _version(name) for name in ("tensorflow", "torch")}
    listed = ", ".join(f"{name} {version or 'not installed'}" for name, version in found.items())
    yield Finding("ok" if any(found.values()) else "note", "training", f"{listed}; needed by training code alone")


def _declared(own: metadata.Distribution) -> list[str]:
    """The packages that the workflow needs: those of the clone, or of the installed package where there is no clone."""
    path = Path(__file__).resolve().parents[4] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}) if path.is_file() else {}
    if project.get("name") == "segchips":
        return [*project["dependencies"], *project["optional-dependencies"]["workflow"]]
    listed = [text.partition(";") for text in own.requires or ()]
    return [name for name, _, marker in listed if "extra" not in marker or "workflow" in marker]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_gdal() -> Iterator[Finding]:
    """Check that GDAL writes and reads chips, and the formats that it knows."""
    import numpy as np
    import pyogrio
    import rasterio
    from rasterio.drivers import raster_driver_extensions
    from rasterio.env import Env

    with Env() as env:
        raster = set(env.drivers()) | set(raster_driver_extensions().values())
    vector = set(pyogrio.list_drivers())
    pixels = np.arange(256, dtype="uint16").reshape(1, 16, 16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chip.tif"
        options = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "dtype": "uint16", "compress": "deflate"}
        with rasterio.open(
            path, "w", crs="EPSG:32633", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), **options
        ) as out:
            out.write(pixels)
        with rasterio.open(path) as file:
            intact = bool((file.read() == pixels).all()) and file.crs.to_epsg() == 32633
    version = (
        f"{rasterio.__gdal_version__} in rasterio {rasterio.__version__}, {pyogrio.__gdal_version_string__} in pyogrio"
    )
    if intact:
        yield Finding("ok", "GDAL", f"{version}; writes and reads a chip")
    else:
        yield Finding(
            "fail", "GDAL", f"{version} reads other pixels than it writes; run: {_INSTALL.format('rasterio')}"
        )
    for known, names, package in ((raster, _RASTER_DRIVERS, "rasterio"), (vector, _VECTOR_DRIVERS, "pyogrio")):
        lacking = [name for name in names if name not in known]
        needed = [name for name in lacking if name in _NEEDED]
        if needed:
            yield Finding("fail", "formats", f"{package} lacks {', '.join(needed)}; run: {_INSTALL.format(package)}")
        elif lacking:
            without = ", ".join(f"{name} ({names[name]})" for name in lacking)
            yield Finding("note", "formats", f"{package} cannot read {without}; convert such files with gdal_translate")
        else:
            yield Finding("ok", "formats", f"{package}: {', '.join(names)}")
    for name in ("GDAL_DATA", "GDAL_DRIVER_PATH"):
        if os.environ.get(name):
            text = f"{name} is set, which can mix the files of two installations; unset it if GDAL misbehaves"
            yield Finding("note", "GDAL", text)


def check_proj() -> Iterator[Finding]:
    """Check that PROJ finds its data, in pyproj and in rasterio, and that both agree."""
    import pyproj
    from rasterio.crs import CRS
    from rasterio.warp import transform

    named = [name for name in ("PROJ_LIB", "PROJ_DATA") if os.environ.get(name)]
    advice = f"unset {' and '.join(named)}" if named else _INSTALL.format("pyproj rasterio")
    try:
        by_pyproj = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(5e5, 5e6)
        (lon,), (lat,) = transform(CRS.from_epsg(32633), CRS.from_epsg(4326), [5e5], [5e6])
    except Exception as error:
        reason = re.sub(r"\s+", " ", str(error))[:150]
        yield Finding("fail", "PROJ", f"cannot transform coordinates ({reason}); {advice}")
        return
    if abs(by_pyproj[0] - lon) > 1e-9 or abs(by_pyproj[1] - lat) > 1e-9:
        yield Finding("fail", "PROJ", f"pyproj and rasterio place a point differently; {advice}")
        return
    yield Finding("ok", "PROJ", f"{pyproj.proj_version_str}, data in {pyproj.datadir.get_data_dir()}")
    if named:
        yield Finding("note", "PROJ", f"{' and '.join(named)} is set; results stay the same only with the same data")
    if pyproj.network.is_network_enabled():  # type: ignore[attr-defined]
        yield Finding(
            "note",
            "PROJ",
            "grids are taken from the network, so that coordinates can change with it; set PROJ_NETWORK=OFF",
        )
