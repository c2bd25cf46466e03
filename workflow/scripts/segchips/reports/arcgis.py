"""The files that arcgis.learn's prepare_data reads beside `images` and `labels` to open a folder as Classified Tiles.

Source: `arcgis.learn._data.prepare_data` and the files that ArcGIS Pro's "Export Training Data For Deep Learning"
writes. It opens one image and one label for each tile: those of the first layer and the first target, with the steps of
a time series as bands. ArcGIS takes 0 for nodata, whatever the files say, and replaces every value that is not a class
by 0. Therefore the background is a class here, which users exclude from training with `ignore_classes`.
"""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np

from segchips.files import atomic_write, write_json
from segchips.grids.tile import chip_filename
from segchips.reports.dataset_summary import DatasetSummary, LabelClass

_MODE = "Classified_Tiles"
_WELL_KNOWN = "WellKnownBandNames (FYI, these band names can be used in ExtractBands)"
_BANDS = ["CoastalAerosol", "Blue", "Green", "Red", "RedEdge", "NearInfrared", "ShortWaveInfrared", "Cirrus", "Thermal"]


def write_arcgis(summary: DatasetSummary) -> None:
    """Write map.txt, stats.txt, esri_model_definition.emd and esri_accumulated_stats.json into the dataset's folder."""
    names = map(chip_filename, summary.rows_with_chips.texts("tile"))
    classes = [label_class for label_class in summary.classes if label_class.pixels]
    images, labels = summary.first_chip_folders
    atomic_write(summary.folder / "map.txt", "".join(f"{images}/{name}\t{labels}/{name}\n" for name in names))
    atomic_write(summary.folder / "stats.txt", _statistics_text(summary, classes))
    write_json(summary.folder / "esri_model_definition.emd", _model_definition(summary, classes))
    write_json(summary.folder / "esri_accumulated_stats.json", _accumulated_statistics(summary, classes))


def _statistics_text(summary: DatasetSummary, classes: Sequence[LabelClass]) -> str:
    height, width, _ = summary.info.image.shape[-3:]
    lines = [
        f"images = {len(summary.rows_with_chips)} *{len(summary.bands)}*{width}*{height}",
        f"classes = {len(classes)}",
    ]
    lines += [
        f"cls name={label_class.name}, cls value={label_class.value}, "
        f"images={label_class.chips}, pixels={label_class.pixels}"
        for label_class in classes
    ]
    return "\n".join(lines) + "\n"


def _common_fields(summary: DatasetSummary) -> dict[str, Any]:
    height, width, _ = summary.info.image.shape[-3:]
    tiles = summary.tiles_with_chips
    codes = sorted(map(tiles.grid.crs, np.unique(tiles.indices[:, 0]).tolist()))
    resolution = summary.dataset.imagery.first.resolution or (
        tiles.grid.resolution if len(tiles) else summary.dataset.tiles.resolution
    )
    cell: dict[str, Any] = {"x": resolution, "y": resolution}
    if len(codes) == 1:
        wkid = int(codes[0].partition(":")[2])
        cell["spatialReference"] = {"wkid": wkid, "latestWkid": wkid}
    return {
        "MetaDataMode": _MODE,
        "ImageSpaceUsed": "MAP_SPACE",
        "MinCellSize": cell,
        "MaxCellSize": cell,
        "ImageHeight": height,
        "ImageWidth": width,
        "InputRastersProps": {"RasterCount": 1, "SensorName": "Unknown", "BandNames": summary.bands},
        "NumBands": len(summary.bands),
    }


def _model_definition(summary: DatasetSummary, classes: Sequence[LabelClass]) -> dict[str, Any]:
    return {
        **_common_fields(summary),
        "ExtractBands": list(range(len(summary.bands))),
        "Classes": [
            {"Value": label_class.value, "Name": label_class.name, "Color": class_colour(label_class.value)}
            for label_class in classes
        ],
        "AllTilesStats": [
            {"BandName": name, "Min": low, "Max": high, "Mean": mean, "StdDev": std}
            for name, (_, low, high, mean, std) in zip(summary.bands, _band_statistics(summary), strict=True)
        ],
        _WELL_KNOWN: _BANDS,
    }


def _band_statistics(summary: DatasetSummary) -> list[tuple[float, ...]]:
    """Count, minimum, maximum, mean and standard deviation of each band; zeros where no pixel is valid."""
    return [
        (total.count, total.low, total.high, total.mean, total.std) if total.count else (0,) * 5
        for total in summary.band_totals
    ]


def _accumulated_statistics(summary: DatasetSummary, classes: Sequence[LabelClass]) -> dict[str, Any]:
    height, width, _ = summary.info.image.shape[-3:]
    chips = len(summary.rows_with_chips)
    return {
        "Version": "3.0",
        **_common_fields(summary),
        "NumTiles": chips,
        "NumClasses": len(classes),
        "TileSizeX": width,
        "TileSizeY": height,
        "BandStatsState": [
            {"Num": count, "Min": low, "Max": high, "M1": mean, "M2": std**2 * count}
            for count, low, high, mean, std in _band_statistics(summary)
        ],
        "ClassPixelStats": {
            "NumImagesTotal": chips,
            "NumPixelsTotal": sum(label_class.pixels for label_class in classes),
            "NumImagesPerClass": [label_class.chips for label_class in classes],
            "NumPixelsPerClass": [label_class.pixels for label_class in classes],
        },
    }


def class_colour(value: int) -> list[int]:
    """Red, green and blue (0 to 255): hues by the golden angle, so that neighbouring values differ clearly."""
    return [round(255 * part) for part in colorsys.hsv_to_rgb(value * 0.618034 % 1, 0.75, 0.9)]
