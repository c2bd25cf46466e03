"""Static STAC catalogues as plain JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import shapely

Json = dict[str, Any]

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"


def make_asset(href: str | Path, **extra: Any) -> Json:
    """A raster asset."""
    return {"href": str(href), "type": COG_MEDIA_TYPE, **extra}


def make_item(
    name: str,
    when: str | None,
    assets: Mapping[str, Any],
    geometry: Any,
    collection: str = "s2",
    cloud: float | None = None,
    **properties: Any,
) -> Json:
    """A STAC item; `when` is RFC 3339 text, `cloud` a percentage."""
    cover = {} if cloud is None else {"eo:cloud_cover": cloud}
    content: Json = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": geometry,
        "properties": {"datetime": when, **cover, **properties},
        "links": [],
        "assets": assets,
    }
    if geometry:
        content["bbox"] = list(shapely.geometry.shape(geometry).bounds)
    return content


def make_collection(name: str, links: Iterable[Json] = ()) -> Json:
    """A STAC collection."""
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}}
    content = {"type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "license": "other"}
    return {**content, "extent": extent, "links": list(links)}


def make_link(rel: str, href: str) -> Json:
    """A STAC link."""
    return {"rel": rel, "href": href, "type": "application/json"}


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file; its folder is made if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_catalogue(folder: Path, items: Sequence[Json], version: str = "1.0.0") -> Path:
    """Write a catalogue with one collection for each that the items name and one file for each item."""
    names = list(dict.fromkeys(item["collection"] for item in items))
    for name in names:
        members = [item for item in items if item["collection"] == name]
        links = [make_link("item", f"./{number}.json") for number in range(len(members))]
        write_json(folder / name / "collection.json", {**make_collection(name, links), "stac_version": version})
        for number, item in enumerate(members):
            up = [make_link("collection", "./collection.json"), make_link("parent", "./collection.json")]
            write_json(folder / name / f"{number}.json", {**item, "stac_version": version, "links": item["links"] + up})
    root = {"type": "Catalog", "stac_version": version, "id": "root", "description": "root"}
    return write_json(
        folder / "catalog.json", {**root, "links": [make_link("child", f"./{name}/collection.json") for name in names]}
    )


def write_three_collections(sample: Path, folder: Path, without_mask: str) -> Path:
    """Write a catalogue of the sample's scenes as three collections.

    Args:
        sample: The sample's folder.
        folder: Where the catalogue is written.
        without_mask: The scene that gets no item in the collection of cloud masks.

    Returns:
        The catalogue, of all scenes, of the near infrared of one orbit, and of cloud masks.
    """
    items = []
    for path in sorted(sample.glob("sample-l2a/*/*.json")):
        item = json.loads(path.read_text()) | {"links": []}
        for asset in item["assets"].values():
            asset["href"] = str((path.parent / asset["href"]).resolve())
        mask, nir = ({name: {**item["assets"][name], "roles": ["data"]}} for name in ("cloud_mask", "B08"))
        items.append(item)
        if item["id"] != without_mask:
            items.append({**item, "collection": "sample-clouds", "assets": mask})
        if item["id"].endswith("r065"):
            items.append({**item, "collection": "sample-nir", "id": f"nir_{item['id']}", "assets": nir})
    return write_catalogue(folder, items)
