"""The dataset in the Croissant format: its files, and the rows of its ledger as records."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from segchips.reports.dataset_summary import DatasetSummary
from segchips.reports.ledger import COLUMNS

_DATA_TYPES = {
    "tile": "sc:Text",
    "split": "sc:Text",
    "state": "sc:Text",
    "reason": "sc:Text",
    "valid": "sc:Float",
    "scenes": "sc:Integer",
}


def croissant_metadata(summary: DatasetSummary) -> dict[str, Any]:
    """Build the content of croissant.json, which is JSON-LD.

    Source: the Croissant format 1.0, https://docs.mlcommons.org/croissant.
    """
    chips = [
        *_chips(summary.info.images, "images", "Image chips, one for each tile"),
        *_chips(summary.info.labels, "labels", "Label chips on the grid of the image chips"),
    ]
    return _metadata(summary.dataset.name, summary.folder, len(summary.rows_with_chips), chips)


def converted_croissant(name: str, folder: Path, chips: int) -> dict[str, Any]:
    """Build the content of croissant.json for a dataset of chips made elsewhere.

    Args:
        name: The dataset's name.
        folder: Its folder of results, with the ledger.
        chips: The number of chips in the shards.
    """
    return _metadata(name, folder, chips, [])


def _metadata(name: str, folder: Path, chips: int, chip_files: list[dict[str, Any]]) -> dict[str, Any]:
    ledger = folder / "ledger.csv"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{chips} image chips and label chips.",
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
            *chip_files,
            _file_set("shards", "The chips as TFRecords.", "tfrecords/*.tfrecord-*", "application/x-tfrecord"),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "tiles",
                "name": "tiles",
                "description": "The tiles of the dataset.",
                "key": {"@id": "tiles/tile"},
                "field": [_field(column, data_type) for column, data_type in _DATA_TYPES.items()],
            }
        ],
    }


def _chips(parts: Iterable[str], kind: str, description: str) -> Iterator[dict[str, Any]]:
    """The chips of each layer or target."""
    for name in parts:
        if name:
            yield _file_set(f"{kind}-{name}", f"{description}: {name}.", f"{kind}/{name}/*.tif", "image/tiff")
        else:
            yield _file_set(kind, f"{description}.", f"{kind}/*.tif", "image/tiff")


def _file_set(name: str, description: str, pattern: str, media_type: str) -> dict[str, Any]:
    properties = {"name": name, "description": description, "includes": pattern, "encodingFormat": media_type}
    return {"@type": "cr:FileSet", "@id": name, **properties}


def _field(column: str, data_type: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": "ledger"}, "extract": {"column": column}}
    properties = {"name": column, "description": COLUMNS[column], "dataType": data_type, "source": source}
    return {"@type": "cr:Field", "@id": f"tiles/{column}", **properties}


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
