"""The tiles of remote.py by a plain loop over threads, with rasterio, odc-stac or lazycogs; remote.py starts it.

python tests/benchmarks/remote_peers.py gdal|odc|lazycogs URL closest|median SIDE SCENES BANDS THREADS
"""

import json
import os
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

SIZE, PAD, METRES = 256, 2, 10
CORE = (SIZE - 2 * PAD) * METRES
EAST, SOUTH = 500_000, CORE * 2000
OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "VSI_CACHE": "YES",
    "GDAL_CACHEMAX": 256,
    "CPL_VSIL_CURL_CACHE_SIZE": str(256 * 1024**2),
}
Bounds = tuple[float, float, float, float]
_local = threading.local()


def bounds(column: int, row: int) -> Bounds:
    """West, south, east and north of a padded tile."""
    west, south = EAST + column * CORE - PAD * METRES, SOUTH + row * CORE - PAD * METRES
    return west, south, west + SIZE * METRES, south + SIZE * METRES


def by_gdal(url: str, bands: int, number: int, box: Bounds) -> np.ndarray:
    """A scene's bands on a tile; each thread keeps its files open."""
    import rasterio
    from rasterio.windows import from_bounds

    opened = _local.__dict__.setdefault("opened", {})
    planes = []
    for band in range(bands):
        path = f"/vsicurl/{url}/scenes/{number}-{band}.tif"
        if path not in opened:
            opened[path] = rasterio.open(path)
        planes.append(opened[path].read(1, window=from_bounds(*box, opened[path].transform)))
    return np.stack(planes)


def by_odc(url: str, bands: int, number: int, box: Bounds) -> np.ndarray:
    """A scene's bands on a tile; scenes of a tile are read at the same time by the caller's threads."""
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    address = f"{url}/scenes/{number}.json"
    items = _local.__dict__.setdefault("items", {})
    if address not in items:
        content = json.load(urllib.request.urlopen(address))
        for asset in content["assets"].values():
            asset["href"] = f"{url}/scenes/{asset['href'].removeprefix('./')}"
        items[address] = pystac.Item.from_dict(content)
    names = [f"B{band}" for band in range(bands)]
    box_of_tile = GeoBox.from_bbox(box, "EPSG:32633", shape=(SIZE, SIZE))
    cube = odc.stac.load([items[address]], bands=names, geobox=box_of_tile, dtype="uint16", nodata=0)
    return np.stack([cube[name].values[0] for name in names])


def tile(read: Callable[[int, Bounds], np.ndarray], composite: str, scenes: int, place: tuple[int, int]) -> int:
    """One tile, as its checksum."""
    import rasterio

    box = bounds(*place)
    with rasterio.Env(**OPTIONS):
        if composite == "median":
            stack = np.stack([read(number, box) for number in range(scenes)])
            return hash(np.ma.median(np.ma.masked_equal(stack, 0), axis=0).filled(0).astype(np.uint16).tobytes())
        result = read(0, box)
        for number in range(1, scenes):
            if result.all():
                break
            result = np.where(result, result, read(number, box))
        return hash(result.tobytes())


def write_items(url: str, scenes: int, path: str) -> None:
    """The items of the scenes as stac-geoparquet, the only catalogue that lazycogs reads."""
    import rustac

    items = []
    for number in range(scenes):
        items.append(json.load(urllib.request.urlopen(f"{url}/scenes/{number}.json")))
        for asset in items[-1]["assets"].values():
            asset["href"] = f"{url}/scenes/{asset['href'].removeprefix('./')}"
    rustac.write_sync(path, {"type": "FeatureCollection", "features": items})


def lazy_tile(url: str, path: str, composite: str, bands: int, reads: int, place: tuple[int, int]) -> int:
    """One tile by lazycogs, as its checksum; it reads scenes and bands of a tile at the same time."""
    import lazycogs
    import obstore
    import rustac

    if not hasattr(_local, "client"):  # DUCKDB_EXTENSIONS names a folder where nothing can be downloaded
        offline = {"extension_directory": folder} if (folder := os.environ.get("DUCKDB_EXTENSIONS")) else {}
        _local.client = rustac.DuckdbClient(**offline, install_extensions=not offline)
    method = lazycogs.MedianMethod if composite == "median" else lazycogs.FirstMethod
    names = [f"B{band}" for band in range(bands)]
    how = {"bbox": bounds(*place), "crs": "EPSG:32633", "resolution": METRES, "bands": names, "nodata": 0}
    how |= {
        "mosaic_method": method,
        "time_period": "P1Y",
        "max_concurrent_reads": reads,
        "duckdb_client": _local.client,
    }
    how |= {"store": obstore.store.HTTPStore(url, client_options={"allow_http": True})}
    return hash(lazycogs.open(path, **how, **({} if composite == "median" else {"dtype": "uint16"})).values.tobytes())


def main() -> None:
    kind, url, composite, *numbers = sys.argv[1:]
    side, scenes, bands, threads = map(int, numbers)
    places = [(column, row) for row in range(side) for column in range(side)]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "lazycogs":
            path = f"{folder}/items.parquet"
            write_items(url, scenes, path)
            few = threads // 4
            make, threads = partial(lazy_tile, url, path, composite, bands, few), few
        else:
            make = partial(tile, partial({"gdal": by_gdal, "odc": by_odc}[kind], url, bands), composite, scenes)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(make, places))


if __name__ == "__main__":
    main()
