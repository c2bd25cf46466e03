"""A starting config, written by looking at the user's files and asking nothing that they tell."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from segchips import vectors
from segchips.errors import InputError, SegchipsError
from segchips.geotiffs import MEDIA_TYPES, plain_name, write_catalogue
from segchips.grid import Grid

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".gdb", ".kml", ".parquet")
_AREA = re.compile(r"aoi|area|extent|bound|outline|footprint|region", re.IGNORECASE)
_CLASS = re.compile(r"class|lulc|cover|use|type|kind|label|crop|categ|code", re.IGNORECASE)
_NO_BAND = re.compile(r"visual|tci|preview|overview|thumbnail|aot|wvp|rendered", re.IGNORECASE)
MASKS: Mapping[str, Mapping[str, list[int]]] = {
    "scl": {"clear": [4, 5, 6, 7]},
    "qa_pixel": {"bits": [0, 1, 3, 4]},
    "cloud_mask": {"clear": [0]},
}
"""Masks that are known by name, and what they say of a clear pixel."""
MOST_CLASSES = 64
FEW_TILES = 100


@dataclass(frozen=True)
class Labels:
    """A label layer: file, layer where there are several, attribute, the classes that it names, and blank features."""

    path: str
    layer: str | None = None
    attribute: str | None = None
    classes: Mapping[str, int | None] | None = None
    values: Sequence[int] = ()
    blank: int = 0


@dataclass(frozen=True)
class Imagery:
    """A catalogue's product: bands, days of the first, middle and last scene, pixel size in metres, a known mask."""

    catalog: str
    product: str
    bands: tuple[str, ...]
    start: date
    middle: date
    end: date
    step: float
    mask: Mapping[str, Any] | None = None
    nodata: float | None = None
    sign: str | None = None


def is_vector(path: Path) -> bool:
    """Whether a path looks like a vector file that GDAL reads."""
    return path.suffix.lower() in VECTORS


def find_vectors(folder: Path) -> list[Path]:
    """The vector files of a folder that have layers with geometries."""
    found = []
    for path in sorted(path for path in folder.iterdir() if is_vector(path)):
        try:
            vectors.layer_names(str(path))
        except SegchipsError:
            continue
        found.append(path)
    return found


def tell_apart(paths: Sequence[Path]) -> tuple[Path | None, Path]:
    """Which file is the AOI, if any, and which holds the labels: by name, else the one with fewest features."""
    import pyogrio

    if not paths:
        raise InputError(f"no label layer found; name one with --labels ({', '.join(VECTORS)})")
    if len(paths) == 1:
        return None, paths[0]
    areas = [path for path in paths if _AREA.search(path.stem)]
    if len(areas) == 1 and len(paths) == 2:
        return areas[0], next(path for path in paths if path != areas[0])
    if len(paths) > 2:
        listed = ", ".join(f"'{path}'" for path in paths)
        raise InputError(
            f"several vector files ({listed}); name the labels with --labels, an area of interest with --aoi"
        )
    fewest, most = sorted(paths, key=lambda path: (int(pyogrio.read_info(path)["features"]), str(path)))
    return fewest, most


def look_at_labels(path: str, layer: str | None = None) -> Labels:
    """The attribute that holds classes, and its classes; InputError where the layer cannot be chosen or read."""
    import pyogrio

    several = len(vectors.layer_names(path)) > 1
    name, _ = vectors.find_layer(path, layer)
    frame = pyogrio.read_dataframe(path, layer=name, read_geometry=False)
    found = {column: frame[column].dropna() for column in frame.columns}
    numbers = [column for column, values in found.items() if _are_classes(values) and values.dtype.kind in "iu"]
    named = {column: values[values != ""] for column, values in found.items() if values.dtype.kind in "OTU"}
    texts = [column for column, values in named.items() if _are_classes(values)]
    chosen = name if several else None
    number, text = _likeliest(numbers), _likeliest(texts)
    if text and (not number or _CLASS.search(text) or not _CLASS.search(number)):
        column = frame[text].fillna("")
        return Labels(path, chosen, text, _classes(column, frame[number] if number else None), blank=sum(column == ""))
    if number:
        return Labels(path, chosen, number, values=sorted({int(value) for value in found[number]}))
    return Labels(path, chosen)


def _classes(texts: Any, numbers: Any) -> dict[str, int | None]:
    """The number beside each text, where they go together; else the texts counted from 1, and no class for a blank."""
    known = sorted(set(texts))
    pairs = set(zip(texts, numbers, strict=True)) if numbers is not None and not numbers.hasnans else set()
    if len(pairs) == len(known) == len({number for _, number in pairs}):
        return {text: int(number) for text, number in sorted(pairs, key=lambda pair: pair[1])}
    return {text: at for at, text in enumerate(filter(None, known), 1)} | ({"": None} if "" in known else {})


def _are_classes(values: Any) -> bool:
    """Whether an attribute has few values, some of them more than once: numbers from 0 to 254, or texts."""
    kinds = values.nunique()
    if not 1 <= kinds <= min(MOST_CLASSES, max(1, len(values) - 1)):
        return False
    if values.dtype.kind in "iu":
        return bool(((values >= 0) & (values < 255)).all())
    return all(str(value).strip() for value in values.unique())


def _likeliest(columns: Sequence[str]) -> str | None:
    named = [column for column in columns if _CLASS.search(column)]
    return next(iter([*named, *columns]), None)


def find_imagery(folder: Path) -> Path:
    """A folder's catalogue, else the folder itself where rasters lie in it; InputError where there is neither."""
    catalogs = sorted(folder.glob("catalog.json")) or sorted(folder.glob("*/catalog.json"))
    if len(catalogs) == 1:
        return catalogs[0]
    if any(path.suffix.lower() in MEDIA_TYPES for path in folder.rglob("*")):
        return folder
    raise InputError(f"'{folder}' holds neither catalog.json nor GeoTIFFs; name a catalogue or folder with --imagery")


def look_at_imagery(place: str, product: str | None = None, day: datetime | None = None) -> Imagery:
    """What a catalogue (path or URL), or a folder of rasters that is made into one, tells of its product."""
    if place.startswith(("http://", "https://")):
        return _look_at_api(place, product)
    if not Path(place).is_dir():
        return _look_at_catalogue(place, product)
    name = product or plain_name(Path(place))
    path = Path("resources") / name / "catalog.json"
    write_catalogue(Path(place), path, name, day)
    return _look_at_catalogue(str(path), name)


def _look_at_catalogue(path: str, product: str | None) -> Imagery:
    from segchips import stac

    client = stac.open_catalog(path)
    try:
        items = [item for item in client.get_items(recursive=True) if item.assets]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"catalogue {path}: cannot be read as STAC ({error})") from error
    name = _only_product(sorted({str(item.collection_id) for item in items}), product, path)
    times = (item.datetime or item.common_metadata.start_datetime for item in items if str(item.collection_id) == name)
    days = sorted(when.date() for when in times if when)
    if not days:
        raise InputError(f"catalogue {path}: product '{name}' has no scene with a time")
    return _described(stac.example(client, name, path), path, days, None)


def _look_at_api(url: str, product: str | None) -> Imagery:
    from segchips import stac

    client = stac.open_catalog(url)
    known = sorted(collection.id for collection in client.get_collections())
    name = _only_product(known, product, url)
    year = date.today().year - 1
    sign = "planetary_computer" if "planetarycomputer" in url else None
    days = [date(year, 1, 1), date(year, 6, 30), date(year, 12, 31)]
    return _described(stac.example(client, name, url), url, days, sign)


def _only_product(known: Sequence[str], product: str | None, place: str) -> str:
    if product is None and len(known) == 1:
        return known[0]
    if product is None or product not in known:
        what = "several products" if product is None else f"no product '{product}'"
        listed = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")
        raise InputError(f"catalogue {place}: {what}; name one with --product: {listed or 'it has none'}")
    return product


def _described(scene: Any, place: str, days: Sequence[date], sign: str | None) -> Imagery:
    """The bands of a scene that are no mask or picture, and what the first one's file tells."""
    if scene is None:
        raise InputError(f"catalogue {place}: no scene to look at; check the catalogue or write the config by hand")
    masks = {key.lower(): key for key in scene.assets}
    mask = next(({"asset": masks[name], **rule} for name, rule in MASKS.items() if name in masks), None)
    bands: list[str] = []
    for key, parts in scene.assets.items():
        if key.lower() not in MASKS and not _NO_BAND.search(key):
            names = [name for name, _ in parts]
            clear = len(parts) > 1 and all(scene.find(name) for name in names)
            bands += [key] if len(parts) == 1 else names if clear else [f"{key}:{n}" for n in range(1, len(parts) + 1)]
    if not bands:
        raise InputError(f"catalogue {place}: scene '{scene.id}' has no raster asset that could be a band")
    step, nodata = _step(scene, bands) if sign is None else (10.0, None)
    span = days[0], days[len(days) // 2], days[-1]
    return Imagery(place, scene.product, tuple(bands), *span, step, mask, nodata, sign)


def _step(scene: Any, bands: Sequence[str]) -> tuple[float, float | None]:
    """The finest pixel among the bands, in metres, to two digits where it is near them; and nodata."""
    import rasterio
    from rasterio.warp import transform_bounds

    steps, nodata = [], None
    for name in bands:
        band = scene.band(name)
        try:
            with rasterio.open(band.href) as file:
                west, south, east, north = transform_bounds(file.crs, "EPSG:3857", *file.bounds)
                metres = file.crs.is_projected and file.crs.linear_units_factor[1] == 1
                steps.append(file.res[0] if metres else _ground((west, south, east, north), file.width))
                nodata = file.nodata if band.nodata is None else band.nodata
        except (rasterio.errors.RasterioError, AttributeError) as error:
            raise InputError(f"band '{name}' of scene '{scene.id}' cannot be read ({error})") from error
    finest = min(steps)
    near = float(f"{finest:.2g}")
    return (near if abs(near - finest) < 0.005 * finest else round(finest, 6)), nodata


def _ground(mercator: tuple[float, float, float, float], width: int) -> float:
    """Metres on the ground of one of `width` pixels across a box in Web Mercator."""
    import math

    west, south, east, north = mercator
    latitude = math.atan(math.sinh((south + north) / 2 / vectors.EARTH_RADIUS))
    return (east - west) * math.cos(latitude) / width


def starting_config(name: str, imagery: Imagery, labels: Labels, aoi: str | None) -> dict[str, Any]:
    """The config of one dataset, with everything that the files tell and the usual for the rest."""
    grid = Grid(256, 8, imagery.step) if imagery.step < 5 else Grid(64, 2, imagery.step)
    step = int(imagery.step) if imagery.step == int(imagery.step) else imagery.step
    tiles = {"size": grid.size, "pad": grid.pad, "resolution": step} | ({"aoi": aoi} if aoi else {})
    sign = {"sign": imagery.sign} if imagery.sign else {}
    mask = {"cloud_mask": dict(imagery.mask)} if imagery.mask else {}
    product = {"id": imagery.product, "bands": list(imagery.bands)}
    span = {"start": imagery.start, "end": imagery.end, "composite": "closest", "reference_date": imagery.middle}
    told = {key: value for key in ("path", "layer", "attribute") if (value := getattr(labels, key))}
    if labels.classes:
        told["classes"] = dict(labels.classes)
    return {
        "results": "results",
        "defaults": {
            "tiles": tiles,
            "imagery": {"catalog": imagery.catalog, **sign, "products": [product], **span, **mask, "min_valid": 0.1},
            "labels": {**told, "background": 255},
            "tfrecords": {"shards": 4, "splits": {"train": 0.8, "val": 0.1, "test": 0.1}},
        },
        "datasets": {name: {}},
    }


def notes_on(imagery: Imagery, labels: Labels) -> list[str]:
    """What to look at first, as comments for the config."""
    notes = ["Written by segchips init; config/README.md tells every key."]
    notes += ["Look at: dates, bands, composite, min_valid, splits."]
    if labels.values:
        notes.append(f"labels: {labels.attribute} holds {', '.join(map(str, labels.values))}.")
    if labels.blank:
        count = f"{labels.blank} feature{'s have' if labels.blank > 1 else ' has'}"
        notes.append(f"labels: {count} no {labels.attribute}; '' in classes says what they are, null leaves them out.")
    if labels.attribute is None:
        notes.append("labels: no attribute looks like a class, so every feature becomes 1; name one with attribute.")
    if imagery.nodata is None and imagery.sign is None:
        notes.append("imagery: the files declare no nodata; where one value means it, give the product nodata: VALUE.")
    if imagery.catalog.startswith("http"):
        notes.append("imagery: dates are those of last year, and resolution is a guess where files are signed.")
    return [*notes, "splitting: {by: block} keeps splits on ground of their own, which hundreds of tiles want."]


def count_tiles(config: Mapping[str, Any]) -> int:
    """How many tiles the config asks for; ConfigError or InputError where it cannot work."""
    from segchips.job import SCHEMA
    from segchips.tiles import aoi_layers, tiles_of
    from segchips.validation import load_config

    (dataset,) = load_config(config, SCHEMA).datasets.values()
    return len(tiles_of(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels)))


def with_splitting(config: dict[str, Any], tiles: int) -> dict[str, Any]:
    """The config with what so many tiles want: among few of them, chance leaves splits empty."""
    if tiles < FEW_TILES:
        config["defaults"]["splitting"] = {"cover": True}
    return config


def summary(config: Mapping[str, Any], tiles: int) -> str:
    """What was found, in a few lines."""
    imagery, labels = config["imagery"], config["labels"]
    product, said = imagery["products"][0], [f"attribute {labels['attribute']}"] if "attribute" in labels else []
    said += [f"{len(labels['classes'])} classes"] if "classes" in labels else []
    return "\n".join(
        [
            f"area     {config['tiles'].get('aoi', 'the ground of the labels')}: {tiles} tiles",
            f"labels   {labels['path']}: {', '.join(said) or 'every feature is 1'}",
            f"imagery  {imagery['catalog']}: product {product['id']}, {len(product['bands'])} bands, "
            f"{imagery['start']} to {imagery['end']}, {config['tiles']['resolution']:g} m"
            + (f", clear by {imagery['cloud_mask']['asset']}" if "cloud_mask" in imagery else ""),
        ]
    )


def as_text(config: Mapping[str, Any], notes: Sequence[str]) -> str:
    """The config as YAML, the notes as comments above it."""
    head = "".join(f"# {note}\n" for note in notes)
    text = yaml.safe_dump(dict(config), sort_keys=False, default_flow_style=None, width=120)
    return head + text.replace("? '' :", "'':")  # as people write it
