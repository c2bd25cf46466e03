"""How a vector layer is read where the file does not say it, or says it wrongly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """What replaces a layer's own declarations, and what becomes of its points and lines.

    Attributes:
        crs: The CRS of the coordinates, such as `EPSG:25833`; None takes that of the file.
        encoding: The encoding of texts, such as `cp1252`; None takes that of the file.
        buffer: Metres on the ground around points and lines, or the attribute that holds them; None leaves them as
            they are.
        block: The block of the config whose keys `crs` and `encoding` these are, such as `labels`; empty where it has
            no such keys. Messages name it.
        only_polygons: Whether points and lines without a buffer are left out.
    """

    crs: str | None = None
    encoding: str | None = None
    buffer: float | str | None = None
    only_polygons: bool = True
    block: str = ""

    def remedy(self, key: str, otherwise: str) -> str:
        """Returns what a message asks for: setting a key of the block, or something else where there is none."""
        return f"set {self.block}.{key}, or {otherwise}" if self.block else otherwise
