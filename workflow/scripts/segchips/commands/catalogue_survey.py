"""Reads from a STAC catalogue what a starting config needs, without reading what wants credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import shapely

from segchips.commands.asset_choice import Offer, band_names, choose_keys, choose_mask
from segchips.commands.known_collections import KnownCollection, known_collection
from segchips.commands.raster_look import RasterLook, look_at
from segchips.commands.survey_dates import Span, scenes_of_years, spans_to_try
from segchips.commands.surveyed_imagery import ImagerySurvey, rounded_size
from segchips.errors import InputError
from segchips.scenes.known_nodata import known_nodata
from segchips.scenes.model import Band, Scaling
from segchips.scenes.query import search_area
from segchips.scenes.stac_addresses import is_remote
from segchips.scenes.stac_client import StacSource, catalogue_errors, open_catalog
from segchips.scenes.stac_items import ItemError, scene_from_item
from segchips.scenes.stac_search import ItemSearch
from segchips.scenes.stac_tree import ItemList, StacTree
from segchips.vectors.geometry import Geometries

_EXAMPLES = 20
"""How many scenes of an API are looked at, or tried to read."""
_PLANETARY_COMPUTER = "planetarycomputer.microsoft.com"
_SHOWN = 20
_MOST_PRODUCTS = 4
"""Catalogues of more products are not all taken unless they are named."""


def products_to_take(place: str, products: Sequence[str]) -> list[str]:
    """Return the products of a catalogue that become layers: the named ones, or all of a small local catalogue.

    Args:
        place: The path or URL of the catalogue.
        products: The products that the user names.

    Raises:
        InputError: The catalogue lacks one, or has many and none is named.
    """
    source = open_catalog(place)
    with catalogue_errors(f"catalogue {place}: cannot be read"):
        listed = source.products()
    if not listed:
        return list(products) or [Path(place).stem]
    if unknown := [product for product in products if product not in listed]:
        raise InputError(f"catalogue {place}: no product '{unknown[0]}'; name one with --product: {_listed(listed)}")
    if products or len(listed) == 1:
        return list(products) or listed
    if is_remote(place) or len(listed) > _MOST_PRODUCTS:
        raise InputError(
            f"catalogue {place}: several products; name one with --product, or several for one layer each: "
            f"{_listed(listed)}"
        )
    return listed


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def survey_catalogue(
    place: str, product: str, area: Geometries | None = None, years: Sequence[int] = ()
) -> ImagerySurvey:
    """Survey the scenes of a product that meet an area.

    Args:
        place: The path or URL of the catalogue.
        product: One of its products.
        area: Polygons in longitude and latitude; None for any place.
        years: The years that the labels are from.

    Raises:
        InputError: The catalogue cannot be read, no scene meets the area, or no asset can be a band.
    """
    known = known_collection(product)
    if known and known.unusable:
        raise InputError(f"catalogue {place}: product '{product}' cannot be used: {known.unusable}")
    source = open_catalog(place)
    with catalogue_errors(f"catalogue {place}: cannot be read"):
        collection = source.collection(product)
        found = _find(_Search(source, place, product, collection, area), years, known)
    offers, days = found
    chosen = _choose(offers, known, place)
    return _describe(chosen, [offer.scene for offer in offers], days, place, product, known)


@dataclass(frozen=True)
class _Search:
    """What is searched for examples of scenes."""

    source: StacSource
    place: str
    product: str
    collection: Mapping[str, Any]
    area: Geometries | None

    def offers(self, span: Span | None, count: int | None, faults: list[str]) -> list[Offer]:
        """Scenes of a period that meet the area."""
        period: tuple[datetime | None, datetime | None] = (None, None)
        if span:
            period = datetime.combine(span[0], time.min, UTC), datetime.combine(span[1], time.max, UTC)
        outline = None if self.area is None else shapely.geometry.mapping(search_area(self.area))
        found = []
        for item in self.source.items(self.product, ItemSearch(period, outline, count=count)):
            try:
                if isinstance(item, ItemError):
                    raise item
                scene = scene_from_item(item, self.product, self.place, self.collection)
            except ItemError as error:
                faults.append(str(error))
                continue
            if self.area is None or shapely.intersects(self.area, shapely.from_wkb(scene.footprint)).any():
                found.append(Offer(scene, item, self.collection))
            if count and len(found) >= count:
                break
        return found


def _find(
    search: _Search, years: Sequence[int], known: KnownCollection | None
) -> tuple[list[Offer], Sequence[date] | None]:
    """Examples of scenes, and the days to search; None where days do not matter."""
    faults: list[str] = []
    is_listed = isinstance(search.source, StacTree | ItemList)
    undated = known is not None and known.undated
    if is_listed or undated:
        offers = search.offers(None, None if is_listed else _EXAMPLES, faults)
        days = scenes_of_years(sorted(offer.scene.acquired.date() for offer in offers), years)
        if offers:
            return offers, None if undated else days
    else:
        for span in spans_to_try(search.collection, years):
            if offers := search.offers(span, _EXAMPLES, faults):
                return offers, _days_of(span, offers)
    where = "" if search.area is None else " that meets the area of interest or the labels"
    reason = f" ({faults[0]})" if faults else ""
    advice = "" if search.area is None else "; check that labels and catalogue cover the same ground"
    raise InputError(
        f"catalogue {search.place}: product '{search.product}' has no scene that can be used{where}{reason}{advice}"
    )


def _days_of(span: Span | None, offers: Sequence[Offer]) -> Sequence[date]:
    """First, middle and last day of a period, or of the year of the latest scene."""
    if span is None:
        latest = max(offer.scene.acquired.date() for offer in offers)
        span = date(latest.year, 1, 1), date(latest.year, 12, 31)
    start, end = span
    return [start, start + (end - start) / 2, end]


@dataclass(frozen=True)
class _Choice:
    """The scene whose assets are taken, with what is known of their pixels."""

    offer: Offer
    keys: list[str]
    looks: Mapping[str, RasterLook]
    notes: list[str]


def _choose(offers: Sequence[Offer], known: KnownCollection | None, place: str) -> _Choice:
    """The assets of the first scene that has bands; files on this machine are opened."""
    errors: list[InputError] = []
    for offer in offers[:_EXAMPLES]:
        keys = choose_keys(offer, known)
        if not keys:
            kinds = f"catalogue {place}: scene '{offer.scene.id}' has no raster asset that can be a band"
            errors.append(InputError(f"{kinds}; name another product with --product"))
            continue
        looks: dict[str, RasterLook] = {}
        missing = {key: text for key in keys if (text := offer.missing(key))}
        readable = [key for key in keys if key not in missing]
        for key in list(readable):
            try:
                if look := _look(offer, key, known):
                    looks[key] = look
            except InputError as error:
                errors.append(InputError(f"band '{key}' of scene '{offer.scene.id}': {error}"))
                readable.remove(key)
        taken = readable or list(missing)
        if taken:
            notes = [f"to read {key}, set {text}" for key, text in list(missing.items())[:1] if not readable]
            return _Choice(offer, taken, looks, notes)
    raise errors[0]


def _look(offer: Offer, key: str, known: KnownCollection | None) -> RasterLook | None:
    """The header of an asset: of files on this machine, and of others where the metadata do not tell the pixel size."""
    href = offer.scene.assets[key][0][1].href
    told = (known and known.resolution) or offer.metadata(key).pixel_size()
    if is_remote(href) and (told or _sign(offer, "")):
        return None
    return look_at(href)


def _sign(offer: Offer, place: str) -> str | None:
    """The service that signs the addresses of a scene."""
    links = [*(offer.item.get("links") or ()), *(offer.collection.get("links") or ()), *offer.item["assets"].values()]
    hrefs = [place, *(str(link.get("href")) for link in links if isinstance(link, dict))]
    stored = any(".blob.core.windows.net" in bands[0][1].href for bands in offer.scene.assets.values())
    named = any(_PLANETARY_COMPUTER in href for href in hrefs)
    return "planetary_computer" if _PLANETARY_COMPUTER in place or (stored and named) else None


def _describe(
    chosen: _Choice,
    scenes: Sequence[Any],
    days: Sequence[date] | None,
    place: str,
    product: str,
    known: KnownCollection | None,
) -> ImagerySurvey:
    offer, keys, looks = chosen.offer, chosen.keys, chosen.looks
    about = [offer.metadata(key) for key in keys]
    sizes = [look.pixel_size for look in looks.values()] + [size for one in about if (size := one.pixel_size())]
    notes = list(chosen.notes)
    if known and known.resolution and not looks:
        sizes = [known.resolution]
    if not sizes:
        sizes = [10.0]
        notes.append("neither catalogue nor files tell the pixel size, so resolution is a guess")
    first = offer.scene.assets[keys[0]][0][1]
    declared = next((look.nodata for look in reversed([*looks.values()]) if look.nodata is not None), first.nodata)
    inferred = known_nodata(product, *offer.scene.names_of(first))
    own = known.nodata if known and declared is None and inferred is None else None
    systems = [crs for one in about if (crs := one.crs())]
    off_utm = [look.off_utm for look in looks.values()] + [
        bool(crs.is_projected) and crs.utm_zone is None for crs in systems
    ]
    common = {band.common_name for key in keys for _, band in offer.scene.assets[key]}
    by_metadata = all(one.is_byte() for one in about) and common >= {"red", "green", "blue"}
    is_picture = all(look.is_picture for look in looks.values()) if looks else by_metadata
    if known and known.scaling:
        scale, offset = _scaling(first, known.scaling)
        notes.append(f"physical value = pixel * {scale:.7g}" + (f" {offset:+g}" if offset else ""))
    start, middle, end = (days[0], days[len(days) // 2], days[-1]) if days else (None, None, None)
    return ImagerySurvey(
        known.layer if known else product,
        place,
        product,
        tuple(_without_alpha(band_names(offer, keys, scenes[:_EXAMPLES]), keys, looks)),
        rounded_size(min(sizes)),
        start,
        middle,
        end,
        choose_mask(offer, known),
        declared if is_picture else own,
        declared is not None or inferred is not None,
        _sign(offer, place),
        known.resampling if known else None,
        is_picture,
        any(off_utm),
        notes,
    )


def _scaling(band: Band, documented: Scaling) -> Scaling:
    """Scale and offset as the metadata declare them, and as documented where they declare none or the offset alone."""
    if not band.scaled:
        return documented
    return band.scaling if band.scale != 1 else (documented[0], band.offset * documented[0])


def _without_alpha(names: Sequence[str], keys: Sequence[str], looks: Mapping[str, RasterLook]) -> Sequence[str]:
    """The bands without those that only say which pixels are valid."""
    if len(keys) != 1 or keys[0] not in looks or not looks[keys[0]].alpha:
        return names
    alpha = looks[keys[0]].alpha
    left = [name for number, name in enumerate(names, 1) if number not in alpha]
    return left or names
