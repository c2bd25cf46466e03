"""Rasters on HTTP servers: opened as local copies that hold the parts that were read so far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rasterio.windows import Window as RasterWindow

from segchips.remote.fetcher import Address, LocalCopy
from segchips.remote.remote_files import remote_files
from segchips.remote.tiff_layout import Window, WindowRead


class PlannedRead(Exception):  # noqa: N818 - it ends the planning of a read, and is no error
    """What a read needs is known."""


@dataclass
class RemoteRaster:
    """A remote TIFF file whose blocks are fetched when they are read.

    Attributes:
        address: The file.
        shapes: Rows and columns of the images of which it is known where their blocks lie.
        shape: Rows and columns of the image that is read: the full resolution, or an overview.
        planned: Collects what a read needs; None where the read is to take place.
    """

    address: Address
    shapes: Sequence[tuple[int, int]]
    shape: tuple[int, int]
    planned: list[WindowRead] | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is known where the blocks of the image lie."""
        return self.shape in self.shapes

    def fetch(self, bands: Sequence[int], window: RasterWindow, with_mask: bool) -> None:
        """Wait until a window of some bands, and of the file's mask, is in the copy.

        Raises:
            PlannedRead: The read was only planned.
            SceneError: The file cannot be read.
        """
        top, left = int(window.row_off), int(window.col_off)
        wanted = Window(top, top + int(window.height), left, left + int(window.width))
        read = WindowRead(self.shape, tuple(bands), wanted, with_mask)
        if self.planned is not None:
            self.planned.append(read)
            raise PlannedRead
        fetch_parts({self.address: [read]})


def is_on_http(href: str) -> bool:
    """Whether a raster is on an HTTP server."""
    return href.startswith(("http://", "https://"))


def open_copies(addresses: Iterable[Address]) -> Mapping[str, LocalCopy]:
    """Return the local copies of remote files by name, with their headers; SceneError names one that fails."""
    with remote_files() as files:
        return files.open(addresses)


def fetch_parts(wanted: Mapping[Address, Iterable[WindowRead]]) -> None:
    """Wait until what some reads of open files need is in their copies; SceneError names a file that fails."""
    with remote_files() as files:
        files.fetch(wanted)
