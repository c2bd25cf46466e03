"""Checks of an open raster file before its bands are read."""

from collections.abc import Sequence

from rasterio.enums import ColorInterp

from segchips.chips.open_rasters import OpenRaster
from segchips.errors import SceneError, UnusableRasterError
from segchips.scenes.model import Band


def check_pinned(source: OpenRaster, bands: Sequence[Band]) -> None:
    """Check that a file declares nothing that was not known when its scene was pinned.

    Args:
        source: The open file.
        bands: The bands of the file that are read.

    Raises:
        SceneError: It does; the message names the file.
    """
    for band in bands:
        number, dataset = band.index - 1, source.dataset
        declared = (dataset.scales[number], dataset.offsets[number])
        if not band.scaled and declared != band.scaling:
            fault = f"declares scale {declared[0]} and offset {declared[1]}"
        elif not band.described and dataset.count > 1 and dataset.colorinterp[-1] != ColorInterp.alpha:
            fault = f"has {dataset.count} bands"
        else:
            continue
        raise SceneError(f"{band.href}: {fault}, which were not known when scenes were pinned; run: snakemake resolve")


def check_source(source: OpenRaster, bands: Sequence[Band]) -> None:
    """Check that bands of a file can be read on a tile grid.

    Args:
        source: The open file.
        bands: The bands of the file that are read.

    Raises:
        SceneError: They cannot; the message names the file.
    """
    href = bands[0].href
    if problem := source.unusable:
        raise UnusableRasterError(f"{href}: {problem}")
    if variables := not source.dataset.count and source.dataset.subdatasets:
        raise UnusableRasterError(
            f"{href}: holds several variables; write the one that you want to a file of its own, such as with: "
            f"gdal_translate '{variables[0]}' OUT.tif"
        )
    highest = max(band.index for band in bands)
    if highest > source.dataset.count:
        raise SceneError(f"{href}: has {source.dataset.count} bands, but its catalogue lists band {highest}")
    for band in bands:
        if "complex" in (dtype := source.dtypes[band.index - 1]):
            raise UnusableRasterError(
                f"{href}: band {band.index} holds complex pixels ({dtype}), which chips cannot hold; "
                "write the amplitude or another real value to a file of its own"
            )
