"""TODO: describe."""

import hashlib
from typing import Any

from segchips.reports.dataset_summary import DatasetSummary


def croissant_metadata(facts: DatasetSummary) -> dict[str, Any]:
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
