"""Where the blocks of a TIFF file lie, so that only those under a window have to be there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tifffile import TiffFile, TiffPage

from segchips.remote.byte_ranges import ByteRange, ByteRanges

_PADDING = 64
"""Bytes between two blocks that no reader looks at: alignment, and the sizes that Cloud-Optimized GeoTIFFs repeat."""


@dataclass(frozen=True)
class Window:
    """Rows and columns of a raster: the first, and the one after the last."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class WindowRead:
    """A read of a window of an image of a file.

    Attributes:
        shape: Rows and columns of the image: the full resolution or an overview.
        bands: The bands, numbered from 1.
        window: Rows and columns.
        with_mask: Whether the file's mask or alpha band is read, too.
    """

    shape: tuple[int, int]
    bands: tuple[int, ...]
    window: Window
    with_mask: bool


@dataclass(frozen=True)
class TiffImage:
    """One image of a TIFF file: the full resolution, an overview, or the mask of one of them.

    Attributes:
        width: Columns of pixels.
        height: Rows of pixels.
        block: Rows and columns of a block; a strip has all columns.
        planes: How many planes of blocks there are: 1 where the bands of a pixel lie together, else one a band.
        is_mask: Whether the image is a mask.
        extra_bands: How many of the last bands are no colours, such as alpha.
        offsets: First byte of each block, plane by plane, row by row.
        sizes: Bytes of each block; 0 for one that is not stored.
        row_size: Bytes of a row of an uncompressed strip; 0 where blocks can only be read whole.
    """

    width: int
    height: int
    block: tuple[int, int]
    planes: int
    is_mask: bool
    extra_bands: int
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    row_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        return self.height, self.width

    def ranges(self, window: Window, planes: Iterable[int]) -> Iterator[ByteRange]:
        """Yield the bytes of the blocks under a window."""
        rows, columns = self.block
        down, across = -(-self.height // rows), -(-self.width // columns)
        for plane in planes:
            for row in range(window.top // rows, min(down, -(-window.bottom // rows))):
                first = (plane * down + row) * across
                for number in range(first + window.left // columns, first + min(across, -(-window.right // columns))):
                    if self.sizes[number]:
                        yield self._part(number, window, row * rows)

    def _part(self, number: int, window: Window, first_row: int) -> ByteRange:
        start, size = int(self.offsets[number]), int(self.sizes[number])
        if not self.row_size:
            return start, start + size
        # GDAL reads an uncompressed strip in parts of some rows, at most 8 KiB or one row more than asked.
        reach = 1 + 8192 // self.row_size
        top = max(0, window.top - first_row - reach)
        return start + top * self.row_size, start + min(size, (window.bottom - first_row + reach) * self.row_size)


@dataclass(frozen=True)
class TiffLayout:
    """The images of a TIFF file, and all bytes that belong to none of their blocks.

    Attributes:
        images: The full resolution first.
        header: What a reader needs besides blocks.
    """

    images: Sequence[TiffImage]
    header: Sequence[ByteRange]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of the full resolution and of the overviews."""
        return [image.shape for image in self.images if not image.is_mask]

    def ranges(self, read: WindowRead) -> list[ByteRange]:
        """Return the bytes of the blocks that a read needs."""
        image = next(image for image in self.images if image.shape == read.shape and not image.is_mask)
        planes = {0} if image.planes == 1 else {band - 1 for band in read.bands}
        if read.with_mask and image.planes > 1:
            planes |= set(range(image.planes - image.extra_bands, image.planes))
        ranges = list(image.ranges(read.window, sorted(planes)))
        if read.with_mask:
            masks = (each for each in self.images if each.is_mask)
            its_own = (mask for mask in masks if mask.shape == read.shape)
            ranges += [part for mask in its_own for part in mask.ranges(read.window, range(mask.planes))]
        return ranges


def read_tiff_layout(stream: Any, size: int) -> TiffLayout:
    """Read where the blocks of a TIFF file lie.

    Args:
        stream: The file, open for reading.
        size: Its bytes.

    Raises:
        ValueError: The file is not a TIFF file, or its directories cannot be read.
    """
    try:
        with TiffFile(stream, name="remote.tif") as file:
            images = [_read_image(page) for page in file.pages if isinstance(page, TiffPage)]
    except Exception as error:  # tifffile raises errors of many kinds for damaged files
        raise ValueError(str(error)) from error
    if not images:
        raise ValueError("no image in it")
    blocks = ByteRanges()
    for image in images:
        for start, length in zip(image.offsets.tolist(), image.sizes.tolist(), strict=True):
            blocks.add((start, start + length))
    header = [part for part in blocks.missing((0, size)) if part[1] - part[0] > _PADDING or part[0] == 0]
    return TiffLayout(images, header)


def _read_image(page: TiffPage) -> TiffImage:
    offsets = np.asarray(page.dataoffsets, np.int64)
    sizes = np.asarray(page.databytecounts, np.int64)
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    separate = page.planarconfig == 2
    row_size = 0
    if not page.is_tiled and page.compression == 1:
        row_size = -(-columns * page.bitspersample * (1 if separate else page.samplesperpixel) // 8)
    return TiffImage(
        width=page.imagewidth,
        height=page.imagelength,
        block=(rows, columns),
        planes=page.samplesperpixel if separate else 1,
        is_mask=bool(page.subfiletype & 4),
        extra_bands=len(_as_tuple(page.extrasamples)),
        offsets=offsets,
        sizes=sizes,
        row_size=row_size,
    )


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if value else ()
