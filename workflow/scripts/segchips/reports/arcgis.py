"""What arcgis.learn's prepare_data reads beside `images` and `labels` to open a folder as Classified Tiles.

It takes 0 for nodata, whatever the files say, and every value that is no class for 0: so the background is a class
here, to be left out of training with `ignore_classes`.
"""

from typing import Any

from segchips.files import atomic_write, write_json
from segchips.grids.tile import Tile, chip_filename
from segchips.reports.dataset_summary import DatasetSummary, LabelClass

MODE = "Classified_Tiles"
_WELL_KNOWN = "WellKnownBandNames (FYI, these band names can be used in ExtractBands)"
_BANDS = ["CoastalAerosol", "Blue", "Green", "Red", "RedEdge", "NearInfrared", "ShortWaveInfrared", "Cirrus", "Thermal"]


def write_arcgis(facts: DatasetSummary) -> None:
    """Write map.txt, stats.txt, esri_model_definition.emd and esri_accumulated_stats.json."""
    pairs = (f"images/{chip_filename(row.tile)}\tlabels/{chip_filename(row.tile)}\n" for row in facts.made)
    atomic_write(facts.folder / "map.txt", "".join(pairs))
    atomic_write(facts.folder / "stats.txt", _summary(facts))
    write_json(facts.folder / "esri_model_definition.emd", _definition(facts))
    write_json(facts.folder / "esri_accumulated_stats.json", _accumulated(facts))


def _classes(facts: DatasetSummary) -> list[LabelClass]:
    return [one for one in facts.classes if one.pixels]


def _summary(facts: DatasetSummary) -> str:
    height, width, bands = facts.info.image.shape
    lines = [f"images = {len(facts.made)} *{bands}*{width}*{height}", f"classes = {len(_classes(facts))}"]
    lines += [
        f"cls name={one.name}, cls value={one.value}, images={one.chips}, pixels={one.pixels}"
        for one in _classes(facts)
    ]
    return "\n".join(lines) + "\n"


def _common(facts: DatasetSummary) -> dict[str, Any]:
    height, width, bands = facts.info.image.shape
    codes = sorted({Tile.from_key(row.tile).crs for row in facts.made})
    cell: dict[str, Any] = {"x": facts.dataset.tiles.resolution, "y": facts.dataset.tiles.resolution}
    if len(codes) == 1:
        wkid = int(codes[0].removeprefix("EPSG:"))
        cell["spatialReference"] = {"wkid": wkid, "latestWkid": wkid}
    return {
        "MetaDataMode": MODE,
        "ImageSpaceUsed": "MAP_SPACE",
        "MinCellSize": cell,
        "MaxCellSize": cell,
        "ImageHeight": height,
        "ImageWidth": width,
        "InputRastersProps": {"RasterCount": 1, "SensorName": "Unknown", "BandNames": facts.bands},
        "NumBands": bands,
    }


def _definition(facts: DatasetSummary) -> dict[str, Any]:
    return {
        **_common(facts),
        "ExtractBands": list(range(len(facts.bands))),
        "Classes": [{"Value": one.value, "Name": one.name, "Color": _colour(one.value)} for one in _classes(facts)],
        "AllTilesStats": [
            {"BandName": name, "Min": low, "Max": high, "Mean": mean, "StdDev": std}
            for name, (_, low, high, mean, std) in zip(facts.bands, _band_figures(facts), strict=True)
        ],
        _WELL_KNOWN: _BANDS,
    }


def _band_figures(facts: DatasetSummary) -> list[tuple[float, ...]]:
    """Count, minimum, maximum, mean and standard deviation of each band; zeros where no pixel is valid."""
    return [(one.count, one.low, one.high, one.mean, one.std) if one.count else (0,) * 5 for one in facts.band_sums]


def _accumulated(facts: DatasetSummary) -> dict[str, Any]:
    height, width, _ = facts.info.image.shape
    classes = _classes(facts)
    return {
        "Version": "3.0",
        **_common(facts),
        "NumTiles": len(facts.made),
        "NumClasses": len(classes),
        "TileSizeX": width,
        "TileSizeY": height,
        "BandStatsState": [
            {"Num": count, "Min": low, "Max": high, "M1": mean, "M2": std**2 * count}
            for count, low, high, mean, std in _band_figures(facts)
        ],
        "ClassPixelStats": {
            "NumImagesTotal": len(facts.made),
            "NumPixelsTotal": sum(one.pixels for one in classes),
            "NumImagesPerClass": [one.chips for one in classes],
            "NumPixelsPerClass": [one.pixels for one in classes],
        },
    }


def _colour(value: int) -> list[int]:
    """Colours far apart for neighbouring values: hues by the golden angle."""
    import colorsys

    return [round(255 * part) for part in colorsys.hsv_to_rgb(value * 0.618034 % 1, 0.75, 0.9)]
