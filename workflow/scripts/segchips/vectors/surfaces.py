"""Surfaces in space as polygons on the ground: TIN, polyhedral surface and triangle, which GEOS does not know."""

import struct

_TRIANGLE, _SURFACES, _COLLECTIONS = 17, (15, 16), (4, 5, 6, 7)
_POLYGON, _MULTIPOLYGON = 3, 6


def as_polygons(wkb: bytes) -> bytes | None:
    """Renames surfaces in a geometry to polygons and multipolygons, which have the same coordinates.

    Args:
        wkb: A geometry in two dimensions, as WKB.

    Returns:
        The same geometry as WKB that GEOS reads, or None where it holds another type that GEOS does not know.
    """
    result = bytearray(wkb)
    try:
        return bytes(result) if _rename(result, 0) else None
    except struct.error:
        return None


def _rename(wkb: bytearray, start: int) -> int:
    """Renames the geometry that starts at a byte, and returns the byte behind it; 0 where its type is unknown."""
    order = "<" if wkb[start] else ">"
    kind, count = struct.unpack_from(f"{order}II", wkb, start + 1)
    end: int = start + 9
    if kind in (_POLYGON, _TRIANGLE):
        for _ in range(count):
            end += 4 + 16 * struct.unpack_from(f"{order}I", wkb, end)[0]
        struct.pack_into(f"{order}I", wkb, start + 1, _POLYGON)
    elif kind in (*_SURFACES, *_COLLECTIONS):
        for _ in range(count):
            end = _rename(wkb, end)
            if not end:
                return 0
        struct.pack_into(f"{order}I", wkb, start + 1, _MULTIPOLYGON if kind in _SURFACES else kind)
    elif kind == 1:
        end = start + 21
    elif kind == 2:
        end += 16 * count
    else:
        return 0
    return end
