"""From a parsed config file to typed datasets, with a message for everything that cannot work."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from segchips.config.model import (
    PLATFORMS,
    CloudMask,
    Config,
    Conversion,
    Coverage,
    Dataset,
    ImageryConfig,
    LabelLayer,
    LabelsConfig,
    Product,
    Range,
    SelectConfig,
    SplittingConfig,
    TFRecordsConfig,
    TilesConfig,
)
from segchips.errors import ConfigError

Json = dict[str, Any]
SCHEMA = Path(__file__).with_name("config.schema.yaml")
"""A link to the workflow's, so that the library has it wherever it is installed."""


def load_config(raw: Mapping[str, Any], schema: Path) -> Config:
    """Validate a parsed config file and merge it into datasets; ConfigError names dataset, key and value."""
    rules = _rules(schema)
    plain = _plain(raw)
    _check(plain, rules, rules, "")
    defaults = plain.get("defaults", {})
    results, requests = (plain.get(key, rules["properties"][key]["default"]) for key in ("results", "requests"))
    datasets, conversions = {}, {}
    for name, entry in plain["datasets"].items():
        if "chips" in (entry or {}):
            conversions[name] = _conversion(name, defaults, entry, rules)
        else:
            merged = _merged(name, defaults, entry or {}, rules, "dataset")
            datasets[name] = _dataset(name, merged, requests)
    return Config(Path(results), requests, datasets, conversions)


@cache
def _rules(schema: Path) -> Json:
    rules: Json = yaml.safe_load(schema.read_text(encoding="utf-8"))
    return rules


def _merged(name: str, defaults: Json, entry: Json, rules: Json, kind: str) -> Json:
    """The entry on top of the defaults and the schema's own, checked as what it is."""
    known = _resolved(rules["$defs"][kind], rules)
    merged = _with_defaults(_merge(defaults, entry, known), known)
    _check(merged, known, rules, f"datasets.{name}")
    return merged


def _resolved(rules: Any, root: Json) -> Any:
    """The rules with what `$ref` points at in place of it."""
    if isinstance(rules, list):
        return [_resolved(item, root) for item in rules]
    if not isinstance(rules, dict):
        return rules
    target = root["$defs"][rules["$ref"].rpartition("/")[2]] if "$ref" in rules else {}
    return {key: _resolved(value, root) for key, value in {**target, **rules}.items() if key != "$ref"}


def _conversion(name: str, defaults: Json, entry: Json, rules: Json) -> Conversion:
    """A dataset of chips; of the defaults only `tfrecords` concerns it, where the size of shards gives their number."""
    shared = {"tfrecords": {"shards": None} | defaults.get("tfrecords", {})}
    merged = _merged(name, shared, entry, rules, "conversion")
    chips = merged["chips"]
    records = merged["tfrecords"]
    config = TFRecordsConfig(**{**records, "shards": records["shards"] or 0})
    return Conversion(name, Path(chips["images"]), Path(chips["labels"]), chips["background"], config)


def _plain(value: Any) -> Any:
    """The same tree in JSON's types: YAML turns an unquoted day into a date."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _merge(base: Json, over: Json, rules: Json) -> Json:
    """`over` on top of `base`, deep where the schema names the keys; a map of the user's own keys is replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        known = rules.get("properties", {}).get(key, {})
        deep = "properties" in known and isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value, known) if deep else value
    return merged


def _with_defaults(value: Any, rules: Json) -> Any:
    if isinstance(value, list) and "items" in rules:
        return [_with_defaults(item, rules["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, known in rules.get("properties", {}).items():
        if key not in filled and "default" in known:
            filled[key] = known["default"]
        if key in filled:
            filled[key] = _with_defaults(filled[key], known)
    return filled


_WHOLE = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
_Validator = extend(Draft202012Validator, type_checker=_WHOLE)


def _check(value: Json, rules: Json, root: Json, where: str) -> None:
    for path, number in _numbers(value, where):
        if not math.isfinite(number) and not path.endswith(".nodata"):
            raise ConfigError(f"{path}: {number} is not usable; it must be a finite number")
    validator = _Validator({**rules, "$defs": root["$defs"]}, format_checker=FormatChecker(["date"]))
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    if errors:
        raise ConfigError("\n".join(line for error in errors for line in _advice(error, where, root)))


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _numbers(item, f"{path}.{key}" if path else str(key))


def _advice(error: ValidationError, where: str, root: Json) -> Iterator[str]:
    """One line for each thing an error finds wrong: the key's path, the value, and what would be right."""
    path = ".".join(filter(None, [where, *(str(part) for part in error.absolute_path)])) or "config"
    rules: Any = error.schema
    kind, limit, value = error.validator, error.validator_value, error.instance
    if kind == "additionalProperties" and isinstance(value, dict):
        known = list(rules.get("properties", {}))
        for key in value:
            if key not in known:
                yield f"{path}.{key}: unknown key; {_instead(key, known, root)}"
    elif kind == "required":
        for key in limit:
            if key not in value:
                yield f"{path}.{key}: missing; {rules['properties'][key].get('description', 'it must be given')}"
    elif kind == "pattern":
        yield f"{path}: '{value}' is no name; use lower-case letters, digits and underscores, a letter first"
    else:
        meaning = rules.get("description", "")
        yield f"{path}: {value!r} is not usable; {_expectation(str(kind), limit)}. {meaning}".rstrip()


def _instead(key: str, known: list[str], root: Json) -> str:
    """A key like the unknown one, else the block it belongs to, else all that are known here."""
    if close := get_close_matches(key, known, 1):
        return f"did you mean '{close[0]}'?"
    blocks = root["$defs"]["dataset"]["properties"].items()
    homes = [name for name, block in blocks if key in _resolved(block, root).get("properties", {})]
    return f"it belongs into {' or '.join(homes)}" if homes else f"known are {', '.join(known)}"


def _expectation(kind: str, limit: Any) -> str:
    match kind:
        case "enum":
            return "choose one of " + ", ".join("null" if item is None else str(item) for item in limit)
        case "type":
            names = {
                "object": "a block of keys",
                "array": "a list",
                "string": "text",
                "null": "null",
                "boolean": "true or false",
                "integer": "a whole number",
            }
            kinds = [limit] if isinstance(limit, str) else limit
            return "it must be " + " or ".join(names.get(name, f"a {name}") for name in kinds)
        case "format":
            return "a day reads YYYY-MM-DD, such as 2017-06-30"
        case "minimum":
            return f"it must be at least {limit}"
        case "maximum":
            return f"it must be at most {limit}"
        case "exclusiveMinimum":
            return f"it must be above {limit}"
        case "uniqueItems":
            return "an entry is there twice"
        case _:
            return "it must not be empty" if kind.startswith("min") else f"it breaks the rule {kind}: {limit}"


def _dataset(name: str, merged: Json, requests: int) -> Dataset:
    """The typed form of a merged dataset, after the checks that a schema cannot state."""
    where = f"datasets.{name}"
    if merged["tfrecords"]["shards"] is None:
        reason = "a tile's shard follows from its key alone, so that it stays where it is when the area grows"
        raise ConfigError(f"{where}.tfrecords.shards: null is for datasets of chips; name a number ({reason})")
    tiles, labels = _tiles(merged["tiles"], f"{where}.tiles"), _labels(merged["labels"], f"{where}.labels")
    imagery = _imagery(merged["imagery"], f"{where}.imagery", requests)
    _check_picture(merged["tfrecords"]["storage"], imagery, where)
    return Dataset(
        name,
        tiles,
        imagery,
        labels,
        TFRecordsConfig(**merged["tfrecords"]),
        _splitting(merged["splitting"], tiles, merged["tfrecords"]["splits"], f"{where}.splitting"),
        _select(merged["select"], labels, f"{where}.select"),
    )


def _check_picture(storage: str, imagery: ImageryConfig, where: str) -> None:
    bands = sum(len(product.bands) for product in imagery.products)
    if storage in ("png", "jpeg") and bands not in (1, 3):
        raise ConfigError(
            f"{where}.tfrecords.storage: '{storage}' holds 1 or 3 bands, and the products have {bands}; "
            f"choose 'array', or other bands"
        )


def _tiles(block: Json, where: str) -> TilesConfig:
    size, pad, resolution, keys = block["size"], block["pad"], float(block["resolution"]), block["keys"]
    if size <= 2 * pad:
        raise ConfigError(
            f"{where}.size: {size} leaves nothing between paddings of {pad} pixels; it must be above {2 * pad}"
        )
    if round(resolution, 6) != resolution:
        raise ConfigError(
            f"{where}.resolution: {resolution} does not survive a tile key's six decimals; round it to {resolution:.6f}"
        )
    if block["aoi"] and keys:
        raise ConfigError(f"{where}: both aoi ({block['aoi']}) and keys are given; keep one")
    return TilesConfig(
        size, pad, resolution, block["aoi"], block["layer"], tuple(keys) if isinstance(keys, list) else keys
    )


def _imagery(block: Json, where: str, requests: int) -> ImageryConfig:
    start, end = date.fromisoformat(block["start"]), date.fromisoformat(block["end"])
    reference = block["reference_date"] and date.fromisoformat(block["reference_date"])
    if start > end:
        raise ConfigError(f"{where}.start: {start} is after end ({end}); swap them")
    if block["composite"] == "closest" and not reference:
        raise ConfigError(
            f"{where}.reference_date: missing; composite 'closest' counts days from it, so name one such as {start}"
        )
    if not block["catalog"] and block["source"] == "stac":
        raise ConfigError(f"{where}.catalog: missing; source 'stac' needs the path or URL of a catalogue")
    products = tuple(Product(**{**product, "bands": tuple(product["bands"])}) for product in block["products"])
    ids = [product.id for product in products]
    if len(set(ids)) < len(ids):
        raise ConfigError(
            f"{where}.products: a product is named twice ({', '.join(ids)}); list all its bands in one entry"
        )
    for number, product in enumerate(products):
        _check_product(product, block["source"], f"{where}.products.{number}")
    keys = ("source", "catalog", "sign", "max_cloud", "composite", "min_valid", "provenance", "on_failure", "patience")
    mask = block["cloud_mask"] and _cloud_mask(block["cloud_mask"], f"{where}.cloud_mask")
    plain = {key: block[key] for key in keys} | {"start": start, "end": end, "reference_date": reference or None}
    return ImageryConfig(products=products, cloud_mask=mask or None, requests=requests, **plain)


def _check_product(product: Product, source: str, where: str) -> None:
    if product.processing_level and source not in PLATFORMS:
        raise ConfigError(
            f"{where}.processing_level: '{product.processing_level}' is for {' and '.join(PLATFORMS)}; "
            f"source '{source}' gives what its files hold, so take the key out"
        )
    if product.resampling == "rms" and source in PLATFORMS:
        raise ConfigError(f"{where}.resampling: source '{source}' does not offer 'rms'; choose another")


def _cloud_mask(block: Json, where: str) -> CloudMask:
    if bool(block["asset"]) == bool(block["product"]):
        raise ConfigError(f"{where}: name either asset (of the same scenes) or product and band")
    if block["product"] and not block["band"]:
        raise ConfigError(f"{where}.band: missing; name the band of product '{block['product']}' that holds the mask")
    if bool(block["clear"]) == bool(block["bits"]):
        raise ConfigError(f"{where}: give either clear (values of clear pixels) or bits (that mark what is not clear)")
    lists = {key: tuple(block[key]) if block[key] else None for key in ("clear", "bits")}
    return CloudMask(block["asset"], block["product"], block["band"], **lists)


def _labels(block: Json, where: str) -> LabelsConfig:
    keys = ("path", "layer", "attribute", "value", "classes")
    layers = []
    for number, over in enumerate(block["layers"] or [{}]):
        layer = {key: block[key] for key in keys} | over
        place = f"{where}.layers.{number}" if block["layers"] else where
        if not layer["path"]:
            raise ConfigError(f"{place}.path: missing; name the vector file that holds the labels")
        if not layer["attribute"] and layer["classes"]:
            raise ConfigError(f"{place}.classes: given without attribute; name the attribute whose values they map")
        for name in ("background", "unknown"):
            if not layer["attribute"] and layer["value"] == block[name]:
                raise ConfigError(f"{place}.value: {layer['value']} is also the {name}; choose another for one of them")
        layers.append(LabelLayer(**layer))
    unknown, coverage = block["unknown"], block["coverage"] and Coverage(**block["coverage"])
    if unknown is not None and unknown == block["background"]:
        raise ConfigError(f"{where}.unknown: {unknown} is also the background; choose another for one of them")
    if unknown is None and coverage:
        raise ConfigError(f"{where}.unknown: null leaves no value for pixels outside coverage; name one, such as 254")
    return LabelsConfig(tuple(layers), block["background"], block["all_touched"], unknown, coverage or None)


def _splitting(block: Json, tiles: TilesConfig, shares: Mapping[str, float], where: str) -> SplittingConfig:
    by, grid, count = block["by"], tiles.grid, re.fullmatch(r"([1-9][0-9]*) tiles?", str(block["block"]))
    if isinstance(block["block"], str) and not count:
        raise ConfigError(f"{where}.block: '{block['block']}' is no length; give metres, or tiles such as '8 tiles'")
    length = int(count[1]) * grid.core if count else float(block["block"])
    if length < grid.core:
        raise ConfigError(
            f"{where}.block: {length:g} m is less than a tile ({grid.core:g} m); give one or more, as 8 tiles"
        )
    allowed = by == "tile" if block["allow_overlap"] is None else block["allow_overlap"]
    if block["guard"] and allowed:
        raise ConfigError(
            f"{where}.guard: {block['guard']} m between splits that may overlap; set allow_overlap: false, or no guard"
        )
    own = block["path"] or by != "region"
    path, layer = (block["path"], block["layer"]) if own else (tiles.aoi, tiles.layer)
    if not own and not path:
        raise ConfigError(f"{where}.path: missing; name the vector file whose polygons name splits")
    cover = by == "block" if block["cover"] is None else block["cover"]
    if cover and by == "region":
        raise ConfigError(f"{where}.cover: true would move tiles out of their regions; take it out")
    chosen = {"block": length, "allow_overlap": allowed, "cover": cover, "path": path, "layer": layer}
    return SplittingConfig(shares=shares, **{**block, **chosen})


def _select(block: Json, labels: LabelsConfig, where: str) -> SelectConfig:
    names = {name: number for layer in labels.layers for name, number in (layer.classes or {}).items()}
    classes = {}
    for name, limits in block["classes"].items():
        number = names.get(name, int(name) if name.isdecimal() else None)
        if number is None or not 0 <= number <= 255:
            known = ", ".join(names) or "none"
            raise ConfigError(
                f"{where}.classes.{name}: no class; give a number from 0 to 255 or a name in labels.classes ({known})"
            )
        classes[number] = _range(limits, f"{where}.classes.{name}")
    labelled = _range(block["labelled"], f"{where}.labelled")
    return SelectConfig(labelled, classes, block["empty"])


def _range(limits: Json, where: str) -> Range:
    found = Range(**limits)
    if found.min > found.max:
        raise ConfigError(f"{where}: min {found.min} is above max {found.max}; no tile has such a share")
    return found
