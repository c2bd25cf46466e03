"""Many tiles side by side with scenes and fields under them, made up for runs over thousands of tiles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import rasterio
import shapely
import yaml

from segchips.files import write_json

PAD, METRES, ZONE = 2, 10, 33


@dataclass(frozen=True)
class Landscape:
    """Tiles side by side, and what lies under them."""

    columns: int
    rows: int
    size: int
    scenes: int = 1
    composite: str = "closest"
    is_blank: bool = False
    shards: int = 4

    @property
    def core(self) -> int:
        """The width of a tile without its padding, in metres."""
        return (self.size - 2 * PAD) * METRES

    @property
    def west(self) -> int:
        """Where the tiles begin, as far to the west of the zone's middle as they reach to the east of it."""
        return 500_000 - self.columns // 2 * self.core

    @property
    def south(self) -> int:
        """Where the tiles begin, 1,000 km and more to the north of the equator."""
        return 1_000_000 // self.core * self.core

    def config(self, tiles_per_job: str | int) -> dict[str, Any]:
        """The config of a run."""
        imagery = {
            "catalog": "catalog.json",
            "products": [{"id": "aerial", "bands": ["rgb:1", "rgb:2", "rgb:3"]}],
            "start": "2023-01-01",
            "end": "2023-12-31",
            "reference_date": "2023-06-30",
            "composite": self.composite,
        }
        dataset = {
            "tiles": {"size": self.size, "pad": PAD, "resolution": METRES, "aoi": "aoi.gpkg"},
            "imagery": imagery,
            "labels": {"path": "fields.gpkg", "attribute": "crop"},
            "tfrecords": {"shards": self.shards},
        }
        results = f"tiles_per_job-{tiles_per_job}"
        return {"results": results, "tiles_per_job": tiles_per_job, "datasets": {"many": dataset}}

    def write(self, folder: Path) -> None:
        """Scenes of some 2,500 px side by side, an AOI just inside of the tiles, and fields of five crops."""
        (folder / "scenes").mkdir(parents=True)
        for tiles_per_job in ("auto", 1):
            (folder / f"{tiles_per_job}.yaml").write_text(yaml.safe_dump(self.config(tiles_per_job)))
        step = max(1, 25_000 // self.core)
        blocks = [(column, row) for column in range(0, self.columns, step) for row in range(0, self.rows, step)]
        items = [
            self.write_scene(folder, self.west + column * self.core, self.south + row * self.core, step, number)
            for column, row in blocks
            for number in range(self.scenes)
        ]
        links = [{"rel": "item", "href": f"./{item}"} for item in items]
        about = {"stac_version": "1.0.0", "description": "Scenes made for a benchmark"}
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        write_json(
            folder / "scenes/collection.json",
            {"type": "Collection", "id": "aerial", "license": "CC0-1.0", "extent": extent, "links": links, **about},
        )
        child = [{"rel": "child", "href": "./scenes/collection.json"}]
        write_json(folder / "catalog.json", {"type": "Catalog", "id": "benchmark", "links": child, **about})
        self.write_vectors(folder)

    def write_scene(self, folder: Path, west: float, south: float, step: int, number: int) -> str:
        """A smooth RGB scene with some noise under `step` x `step` tiles, and its STAC item."""
        pixels, name = step * self.core // METRES + 2 * PAD, f"scene-{west:.0f}-{south:.0f}-{number}"
        west, north = west - PAD * METRES, south + (pixels - PAD) * METRES
        random = np.random.default_rng([int(west), int(south), number])
        waves = np.sin(np.arange(pixels) / 40)[:, None] * np.cos(np.arange(pixels) / 60)
        noise = 0 if self.is_blank else random.integers(0, 40, (3, pixels, pixels))
        image = np.broadcast_to(100 + 60 * waves + noise, (3, pixels, pixels)).astype(np.uint8)
        profile = {
            "driver": "GTiff",
            "width": pixels,
            "height": pixels,
            "count": 3,
            "dtype": "uint8",
            "compress": "lzw",
        }
        profile |= {"crs": f"EPSG:326{ZONE}", "transform": rasterio.Affine(METRES, 0, west, 0, -METRES, north)}
        tiled = {"tiled": True, "interleave": "pixel", "blockxsize": 256, "blockysize": 256}
        with rasterio.open(folder / f"scenes/{name}.tif", "w", **profile, **tiled) as file:
            file.write(image)
        outline = shapely.box(west, north - pixels * METRES, west + pixels * METRES, north)
        to_degrees = pyproj.Transformer.from_crs(f"EPSG:326{ZONE}", "EPSG:4326", always_xy=True).transform
        geometry = shapely.transform(outline, to_degrees, interleaved=False)
        item = {"type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "aerial", "links": []}
        item |= {"geometry": shapely.geometry.mapping(geometry), "bbox": geometry.bounds}
        item |= {"properties": {"datetime": f"2023-06-{15 - number % 15:02}T{10 + number // 15}:00:00Z"}}
        item |= {"assets": {"rgb": {"href": f"./{name}.tif", "type": "image/tiff", "bands": [{}, {}, {}]}}}
        write_json(folder / f"scenes/{name}.json", item)
        return f"{name}.json"

    def write_vectors(self, folder: Path) -> None:
        """The AOI and the fields."""
        east, north = self.west + self.columns * self.core, self.south + self.rows * self.core
        random, count = np.random.default_rng(1), max(20_000, self.columns * self.rows // 10)
        centres = random.uniform((self.west, self.south), (east, north), (count, 2))
        fields = shapely.buffer(shapely.points(centres), random.uniform(100, 900, count), quad_segs=4)
        crops = random.integers(1, 6, count)
        crs = f"EPSG:326{ZONE}"
        geopandas.GeoDataFrame({"crop": crops}, geometry=fields, crs=crs).to_file(folder / "fields.gpkg")
        area = shapely.box(self.west + 50, self.south + 50, east - 50, north - 50)
        geopandas.GeoDataFrame(geometry=[area], crs=crs).to_file(folder / "aoi.gpkg")
