"""The descriptors step: what a finished dataset holds, told to others' tools; all of it follows from the same facts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from segchips.config import Dataset
from segchips.description import MADE, Entry, Info, made_entries, read_info
from segchips.files import write_whole
from segchips.ledger import Row, read_ledger
from segchips.pixelstats import SplitStatistics, statistics
from segchips.tally import Sums

UNNAMED = "unnamed"
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


@dataclass(frozen=True)
class LabelClass:
    """A label value that is in the config or in the chips: its name, pixels, and the chips that hold it."""

    value: int
    name: str
    pixels: int
    chips: int


@dataclass(frozen=True)
class Facts:
    """What the descriptors are written from: config, description, statistics and index of the shards, and ledger."""

    dataset: Dataset
    folder: Path
    info: Info
    splits: Mapping[str, SplitStatistics]
    rows: Sequence[Row]
    entries: Mapping[str, Entry]

    @classmethod
    def of(cls, dataset: Dataset, folder: Path) -> "Facts":
        """From a dataset's folder of results; InputError where one of them is missing or damaged."""
        shards = folder / "tfrecords"
        info, rows = read_info(shards), read_ledger(folder / "ledger.csv")
        return cls(dataset, folder, info, statistics(shards), rows, made_entries(shards, info))

    @property
    def made(self) -> list[Row]:
        """The tiles whose chips are in the shards."""
        return [row for row in self.rows if row.state == MADE]

    @cached_property
    def bands(self) -> list[str]:
        """The names of the bands, or their numbers."""
        return [name or f"band {number}" for number, name in enumerate(self.info.image.bands, 1)]

    @property
    def band_sums(self) -> list[Sums]:
        """The valid pixels of each band in all splits."""
        totals = [Sums()] * len(self.bands)
        for split in self.splits.values():
            for number, band in enumerate(split.bands):
                mean, std = Fraction(band.mean or 0), Fraction(band.std or 0)
                sums = band.count, mean * band.count, (std**2 + mean**2) * band.count
                if band.count:
                    totals[number] += Sums(*sums, band.min or 0, band.max or 0)
        return totals

    @cached_property
    def classes(self) -> list[LabelClass]:
        """Every label value with a name in the config or a pixel in the chips, the background last."""
        labels = self.dataset.labels
        names, background = labels.names | {labels.unknown: "unknown"}, labels.background
        found = [classes for split in self.splits.values() if (classes := split.classes)]
        values = {value for classes in found for value in classes} | set(labels.names)
        entries = []
        for value in sorted(values, key=lambda value: (value == background, value)):
            name = "background" if value == background else names.get(value, UNNAMED)
            parts = [classes[value] for classes in found if value in classes]
            pixels, chips = sum(part.pixels for part in parts), sum(part.chips for part in parts)
            entries.append(LabelClass(value, name, pixels, chips))
        return entries


def write_json(path: Path, content: object) -> None:
    """Write JSON, the same bytes for the same content."""
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def file_name(row: Row) -> str:
    """The file name of a tile's chips."""
    return f"{row.tile.replace(':', '#')}.tif"


def write_descriptors(dataset: Dataset, folder: Path) -> None:
    """Write card, Croissant, STAC and what ArcGIS reads into a dataset's folder of results."""
    from segchips.arcgis import write_arcgis
    from segchips.stacitems import write_stac

    facts = Facts.of(dataset, folder)
    write_whole(folder / "README.md", card(facts))
    write_json(folder / "croissant.json", croissant(facts))
    write_arcgis(facts)
    write_stac(facts)


def card(facts: Facts) -> str:
    """The dataset card in Markdown, with the front matter that Hugging Face reads."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        number=lambda value: f"{value:,}",
        share=lambda value: f"{100 * value:.2f} %",
        figure=lambda value: "–" if value is None else f"{value:.6g}",
    )
    template = Path(__file__).with_name("card.md.j2").read_text(encoding="utf-8")
    count = len(facts.made)
    size = next((size for limit, size in _SIZES.items() if count < limit), "n>1M")
    return environment.from_string(template).render(facts=facts, dataset=facts.dataset, info=facts.info, size=size)


def croissant(facts: Facts) -> dict[str, Any]:
    """The dataset in the Croissant format: its files, and its tiles as records (https://docs.mlcommons.org/croissant)."""
    ledger = facts.folder / "ledger.csv"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": facts.dataset.name,
        "description": f"{len(facts.made)} image chips and label chips for semantic segmentation.",
        "license": "other",
        "version": "1.0.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "ledger",
                "name": "ledger",
                "description": "Every tile once, with its split, state and the reason for it.",
                "contentUrl": ledger.name,
                "encodingFormat": "text/csv",
                "sha256": hashlib.sha256(ledger.read_bytes()).hexdigest(),
            },
            _files("images", "Image chips, one for each tile.", "images/*.tif", "image/tiff"),
            _files("labels", "Label chips on the grid of the image chips.", "labels/*.tif", "image/tiff"),
            _files("shards", "The chips as TFRecords.", "tfrecords/*.tfrecord-*", "application/x-tfrecord"),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "tiles",
                "name": "tiles",
                "description": "The tiles of the dataset.",
                "key": {"@id": "tiles/tile"},
                "field": [_field(name, kind, text) for name, kind, text in _COLUMNS],
            }
        ],
    }


_COLUMNS = (
    ("tile", "sc:Text", "Tile key; chips are named after it, with '#' for ':'."),
    ("split", "sc:Text", "Split of the tile."),
    ("state", "sc:Text", "Whether the tile is in the shards, or why not."),
    ("reason", "sc:Text", "What led to the state."),
    ("valid", "sc:Float", "Share of pixels that are valid in every band."),
    ("scenes", "sc:Integer", "Number of pinned scenes."),
)


def _files(name: str, text: str, pattern: str, kind: str) -> dict[str, Any]:
    about = {"name": name, "description": text, "includes": pattern, "encodingFormat": kind}
    return {"@type": "cr:FileSet", "@id": name, **about}


def _field(name: str, kind: str, text: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": "ledger"}, "extract": {"column": name}}
    about = {"name": name, "description": text, "dataType": kind, "source": source}
    return {"@type": "cr:Field", "@id": f"tiles/{name}", **about}


_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
