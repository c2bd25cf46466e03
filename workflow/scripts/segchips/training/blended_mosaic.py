"""Predictions of chips that overlap as georeferenced rasters, in which overlapping predictions are blended."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rasterio.transform import Affine

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.training.mosaic import Mosaic, grid_paths, paste, scratch
from segchips.training.prediction_spool import Spool, single_predictions

Output = Literal["classes", "probabilities"]
NO_CLASS = 255


@dataclass(frozen=True)
class BlendedMosaic(Mosaic):
    """A mosaic of the probabilities of one CRS and pixel size.

    Attributes:
        output: "classes" for the number of the most probable class, "probabilities" for a band of each.
        raster: The CRS and transform of the raster whose columns and negative rows are the coordinates of the pieces;
            None where these are coordinates of the CRS.
    """

    output: Output = "classes"
    raster: tuple[Any, Affine] | None = None

    @property
    def profile(self) -> dict[str, Any]:
        """The profile of the file, as rasterio takes it."""
        plain = super().profile
        if self.raster is None:
            return plain
        (crs, transform), corner = self.raster, plain["transform"]
        return plain | {"crs": crs, "transform": transform * Affine.translation(corner.c, -corner.f)}

    @property
    def bands(self) -> int:
        """The number of bands."""
        return 1 if self.output == "classes" else self.spool.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels."""
        return np.dtype(np.uint8 if self.output == "classes" else np.float32)

    def block(self, corner: tuple[int, int], size: tuple[int, int], numbers: Sequence[int]) -> Array:
        """The pixels of a block: weighted means, within the ground of tiles without padding."""
        sums, weights = np.zeros((self.spool.bands, *size), np.float32), np.zeros((1, *size), np.float32)
        inside = np.zeros((1, *size), bool)
        for number in numbers:
            piece, (row, column) = self.pieces[number], self.places[number]
            values = self.spool.read(piece).astype(np.float32)
            known = np.isfinite(values).all(axis=0)
            weight = np.where(known, edge_weights(*values.shape[1:]), 0)[None]
            at = row - piece.margin, column - piece.margin
            paste(sums, corner, np.where(known, values, 0) * weight, at, add=True)
            paste(weights, corner, weight, at, add=True)
            paste(inside, corner, np.ones((1, piece.height, piece.width), bool), (row, column))
        known = inside & (weights > 0)
        means = sums / np.where(known, weights, 1)
        found = means.argmax(axis=0)[None] if self.output == "classes" else means
        return np.where(known, found, self.nodata).astype(self.dtype)


def edge_weights(height: int, width: int) -> Array:
    """Weights (height x width) that grow evenly from the edges to the middle."""
    sides = [np.minimum(np.arange(length), np.arange(length)[::-1]) + 1.0 for length in (height, width)]
    return np.outer(*sides).astype(np.float32)


def blend(
    predictions: Iterable[tuple[Any, Any]],
    path: Path,
    output: Output,
    placed: Callable[[BlendedMosaic], BlendedMosaic] = lambda mosaic: mosaic,
) -> list[Path]:
    """Write probabilities as cloud-optimised GeoTIFFs, one for each CRS.

    Where chips overlap, padding included, probabilities are averaged with weights that fall towards the edges.

    Args:
        predictions: Identifiers and probabilities, as for `mosaic`; NaN where there is no prediction.
        path: The file to write, as for `mosaic`.
        output: "classes" or "probabilities".
        placed: Changes where a mosaic lies.

    Returns:
        The paths of the files.

    Raises:
        InputError: There are no predictions, or a chip has no location, is off the grid or unlike the others.
        StorageError: A file cannot be written.
    """
    with scratch(path) as (folder, stream):
        spool = Spool(path, stream, with_padding=True)
        for name, bands in single_predictions(predictions):
            spool.add(name, bands)
        if not spool.pieces:
            raise InputError(f"there are no chips to predict for {path}")
        grids = sorted(spool.pieces)
        paths = grid_paths(path, grids)
        nodata = NO_CLASS if output == "classes" else np.nan
        for file, (crs, step) in zip(paths, grids, strict=True):
            placed(BlendedMosaic(file, folder, spool, crs, step, nodata, output)).write()
    return paths
