"""Scenes, and the lock file that pins which of them each tile is made from."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from segchips.config import ImageryConfig
from segchips.errors import InputError, public
from segchips.files import digest, read_parquet, whole


@dataclass(frozen=True)
class Band:
    """One band of one raster file, or of one image of a platform, which tells its dtype.

    Physical value = pixel * scale + offset. Of a `signed` address the signature is left out.
    """

    href: str
    index: int
    nodata: float | None
    scale: float
    offset: float
    dtype: str | None = None
    signed: bool = False


@dataclass(frozen=True)
class Scene:
    """One catalogue item: UTC acquisition, cloud fraction 0 to 1, its raster assets and lon/lat footprint (WKB)."""

    product: str
    id: str
    acquired: datetime
    cloud: float | None
    assets: Mapping[str, Sequence[tuple[str, Band]]]
    footprint: bytes = field(repr=False, compare=False)

    def find(self, name: str) -> Band | None:
        """The band called `name`: an asset of one band, `asset:2`, or a band name that one asset has."""
        if len(self.assets.get(name, ())) == 1:
            return self.assets[name][0][1]
        asset, _, index = name.rpartition(":")
        if asset in self.assets and index.isdecimal() and 0 < int(index) <= len(self.assets[asset]):
            return self.assets[asset][int(index) - 1][1]
        named = [band for bands in self.assets.values() for known, band in bands if known == name]
        return named[0] if len(named) == 1 and name not in self.assets else None

    def band(self, name: str) -> Band:
        """As `find`, or an InputError that lists what the scene has."""
        found = self.find(name)
        if found is None:
            known = ", ".join(
                key if len(bands) == 1 else f"{key}:1 to {key}:{len(bands)}" for key, bands in self.assets.items()
            )
            raise InputError(
                f"scene '{self.id}' of product '{self.product}' has no band '{name}'; "
                f"it has {known or 'no raster asset'}"
            )
        return found

    @cached_property
    def pin(self) -> str:
        """A digest of everything that decides what is read."""
        return digest(self.product, self.id, self.acquired.isoformat(), _assets_json(self.assets))


@dataclass(frozen=True)
class Query:
    """What was asked of which catalogue; while it stays the same, pinned tiles keep their scenes.

    A platform is asked for each product's bands at one processing level, which decides their dtypes.
    """

    source: str
    catalog: str
    products: tuple[str, ...]
    start: str
    end: str
    max_cloud: float | None
    mask: str | None

    @classmethod
    def of(cls, imagery: ImageryConfig) -> "Query":
        """The query that a dataset's imagery block asks."""
        mask = imagery.cloud_mask.product if imagery.cloud_mask else None
        levels = {product.id: product.processing_level for product in imagery.products}
        products = tuple(f"{id} ({level})" if level else id for id, level in sorted(levels.items()))
        catalog = "" if imagery.on_platform else public(str(imagery.catalog))
        days = str(imagery.start), str(imagery.end)
        return cls(imagery.source, catalog, products, *days, imagery.max_cloud, mask)

    @property
    def text(self) -> str:
        """The query as stable JSON."""
        return json.dumps(vars(self), sort_keys=True)


@dataclass(frozen=True)
class Lock:
    """The pinned scenes, for each tile the indices of those that meet it, and the query that found them."""

    query: str
    scenes: tuple[Scene, ...]
    tiles: Mapping[str, tuple[int, ...]]


def search_area(footprints: np.ndarray) -> shapely.Geometry:
    """A simple lon/lat outline around all footprints, in two parts where they straddle the antimeridian."""
    west, _, east, _ = shapely.total_bounds(footprints)
    if east - west <= 180:
        return shapely.convex_hull(shapely.geometrycollections(footprints))
    parts = shapely.get_parts(footprints)
    side = shapely.get_coordinates(shapely.centroid(parts))[:, 0] < 0
    hulls = [shapely.convex_hull(shapely.geometrycollections(parts[half])) for half in (side, ~side) if half.any()]
    return shapely.multipolygons(hulls)


def clear_enough(product: str, scenes: Sequence[Scene], limit: float | None) -> list[Scene]:
    """Those whose cloud fraction is below the limit; InputError where none tells it."""
    if limit is None:
        return list(scenes)
    if scenes and all(scene.cloud is None for scene in scenes):
        raise InputError(
            f"product '{product}': none of its {len(scenes)} scenes tells its cloud cover;"
            " set imagery.max_cloud to null"
        )
    return [scene for scene in scenes if scene.cloud is not None and scene.cloud < limit]


def pin(query: Query, found: Sequence[Scene], keys: Sequence[str], footprints: np.ndarray) -> Lock:
    """Give each tile the scenes whose footprint meets its padded footprint (lon/lat polygons, one for each key)."""
    scenes = tuple(sorted(found, key=lambda scene: (scene.product, scene.acquired, scene.id)))
    tiles: dict[str, list[int]] = {key: [] for key in keys}
    if scenes:
        outlines = shapely.make_valid(shapely.from_wkb([scene.footprint for scene in scenes]))
        order, hits = shapely.STRtree(footprints).query(outlines, predicate="intersects")
        for scene, tile in zip(order.tolist(), hits.tolist(), strict=True):
            tiles[keys[tile]].append(scene)
    return Lock(query.text, scenes, {key: tuple(indices) for key, indices in tiles.items()})


def keep(old: Lock, new: Lock) -> Lock:
    """`new` with the scenes of every tile that `old` had pinned put back."""
    merged = {(scene.product, scene.id): scene for lock in (new, old) for scene in lock.scenes}
    chosen = {key: _members(old if key in old.tiles else new, key) for key in new.tiles}
    scenes = sorted(merged.values(), key=lambda scene: (scene.product, scene.acquired, scene.id))
    position = {(scene.product, scene.id): index for index, scene in enumerate(scenes)}
    tiles = {key: tuple(position[scene.product, scene.id] for scene in members) for key, members in chosen.items()}
    return Lock(new.query, tuple(scenes), tiles)


def difference(old: Lock, new: Lock) -> list[str]:
    """What a changed lock means: the scenes that came, went or changed, and how many tiles they touch."""
    before = {(scene.product, scene.id): scene.pin for scene in _used(old)}
    after = {(scene.product, scene.id): scene.pin for scene in _used(new)}
    lines = [f"+ {'/'.join(key)}" for key in sorted(after.keys() - before.keys())]
    lines += [f"- {'/'.join(key)}" for key in sorted(before.keys() - after.keys())]
    lines += [
        f"~ {'/'.join(key)} (assets changed)"
        for key in sorted(before.keys() & after.keys())
        if before[key] != after[key]
    ]
    changed = sum(_pins(old, key) != _pins(new, key) for key in old.tiles.keys() & new.tiles.keys())
    fresh, gone = len(new.tiles.keys() - old.tiles.keys()), len(old.tiles.keys() - new.tiles.keys())
    return [
        *lines,
        f"{changed} of {len(new.tiles)} tiles have other scenes than before; {fresh} tiles are new, {gone} gone",
    ]


def _used(lock: Lock) -> list[Scene]:
    return [lock.scenes[index] for index in sorted({index for indices in lock.tiles.values() for index in indices})]


def _members(lock: Lock, key: str) -> list[Scene]:
    return [lock.scenes[index] for index in lock.tiles[key]]


def _pins(lock: Lock, key: str) -> list[str]:
    return [scene.pin for scene in _members(lock, key)]


def write_lock(path: Path, lock: Lock) -> None:
    """Write the lock as GeoParquet: one row for each scene in use, with the keys of its tiles."""
    tiles: dict[int, list[str]] = {}
    for key, indices in lock.tiles.items():
        for index in indices:
            tiles.setdefault(index, []).append(key)
    rows = [(lock.scenes[index], sorted(tiles[index])) for index in sorted(tiles)]
    table = pa.table(
        {
            "product": pa.array([scene.product for scene, _ in rows], pa.string()),
            "scene": pa.array([scene.id for scene, _ in rows], pa.string()),
            "acquired": pa.array([scene.acquired for scene, _ in rows], pa.timestamp("us", "UTC")),
            "cloud": pa.array([scene.cloud for scene, _ in rows], pa.float64()),
            "assets": pa.array([_assets_json(scene.assets) for scene, _ in rows], pa.string()),
            "tiles": pa.array([keys for _, keys in rows], pa.list_(pa.string())),
            "geometry": pa.array([scene.footprint for scene, _ in rows], pa.binary()),
        }
    )
    geometry = {"encoding": "WKB", "geometry_types": []}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    bare = sorted(key for key, indices in lock.tiles.items() if not indices)
    about = {"query": json.loads(lock.query), "tiles_without_scenes": bare}
    about["digest"] = _content_digest(about, table.to_pydict())
    metadata = {"geo": json.dumps(geo), "segchips": json.dumps(about)}
    with whole(path) as part:
        pq.write_table(table.replace_schema_metadata(metadata), part, compression="zstd")


def read_lock(path: Path) -> Lock:
    """Read a lock; InputError where the file is not one, or not as it was written."""
    try:
        table = read_parquet(path)
        about = json.loads(table.schema.metadata[b"segchips"])
        columns = table.to_pydict()
        if about.pop("digest") != _content_digest(about, columns):
            raise ValueError("checksum")
        scenes = tuple(
            Scene(product, name, acquired.astimezone(UTC), cloud, _read_assets(assets), footprint)
            for product, name, acquired, cloud, assets, footprint in zip(
                *(columns[key] for key in ("product", "scene", "acquired", "cloud", "assets", "geometry")), strict=True
            )
        )
        tiles: dict[str, list[int]] = {key: [] for key in about["tiles_without_scenes"]}
        for index, keys in enumerate(columns["tiles"]):
            for key in keys:
                tiles.setdefault(key, []).append(index)
        query = json.dumps(about["query"], sort_keys=True)
    except Exception as error:  # a damaged file can make Arrow and what follows stumble over anything
        raise InputError(
            f"{path}: not a scene lock ({type(error).__name__}); delete it and run again to resolve the scenes anew"
        ) from error
    return Lock(query, scenes, {key: tuple(indices) for key, indices in tiles.items()})


def _content_digest(about: Mapping[str, object], columns: Mapping[str, object]) -> str:
    """Of all that a lock says: compressed Parquet has no checksum that tells a flipped bit."""
    return digest(json.dumps(about, sort_keys=True), *(columns[name] for name in sorted(columns)))


def _assets_json(assets: Mapping[str, Sequence[tuple[str, Band]]]) -> str:
    plain = {
        key: {
            "href": bands[0][1].href,
            **({"signed": True} if bands[0][1].signed else {}),
            "bands": [_band_json(name, band) for name, band in bands],
        }
        for key, bands in assets.items()
        if bands
    }
    return json.dumps(plain, sort_keys=True)


def _band_json(name: str, band: Band) -> dict[str, object]:
    nodata = "nan" if band.nodata is not None and np.isnan(band.nodata) else band.nodata
    plain: dict[str, object] = {"name": name, "nodata": nodata, "scale": band.scale, "offset": band.offset}
    return plain if band.dtype is None else {**plain, "dtype": band.dtype}


def _read_assets(text: str) -> dict[str, list[tuple[str, Band]]]:
    return {
        key: [
            (
                band["name"],
                Band(
                    asset["href"],
                    number,
                    None if band["nodata"] is None else float(band["nodata"]),
                    band["scale"],
                    band["offset"],
                    band.get("dtype"),
                    asset.get("signed", False),
                ),
            )
            for number, band in enumerate(asset["bands"], 1)
        ]
        for key, asset in json.loads(text).items()
    }


def natural_order(scenes: Iterable[Scene]) -> list[Scene]:
    """By acquisition, then id: the order of median and mean, whose result does not depend on it."""
    return sorted(scenes, key=lambda scene: (scene.acquired, scene.id))


def closest_order(scenes: Iterable[Scene], reference: datetime) -> list[Scene]:
    """By whole calendar days from the reference day; ties by nearness to its 00:00 UTC, then id."""
    return sorted(
        scenes,
        key=lambda scene: (
            abs((scene.acquired.date() - reference.date()).days),
            abs(scene.acquired - reference),
            scene.id,
        ),
    )


def parse_time(text: str) -> datetime:
    """An RFC 3339 time as UTC; one without zone is taken as UTC."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    parsed = datetime.fromisoformat(cut)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
