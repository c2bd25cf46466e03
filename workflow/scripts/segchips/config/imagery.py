"""The block `imagery`: where scenes come from and how they become a chip."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from segchips.config.blocks import KEEP_INTEGER, Block, Day, Derived, Flag, Integer, Number, Share, Text, problem
from segchips.config.periods import Every, Period

PLATFORMS = ("descarteslabs", "earthone")
REPEATED = "config_repeated"


def _refuse_repeated(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise PydanticCustomError(REPEATED, "repeated")
    return values


@dataclass(frozen=True)
class Nodata(Block):
    """A nodata value, and which bands have to hold it."""

    value: Annotated[Number, Field(allow_inf_nan=True), KEEP_INTEGER]
    """The nodata value."""
    when: Literal["any", "all"] = "any"
    """any: a value is invalid by itself; all: a pixel is invalid only where all bands of the product hold the value,
    which suits pictures, where 0 is also a dark value of one band."""


def _number_as_text(value: object) -> object:
    return str(value) if type(value) is int else value


_BandName = Annotated[Text, BeforeValidator(_number_as_text, json_schema_input_type=Text | Integer)]


@dataclass(frozen=True)
class Product(Block):
    """One product (of a platform, or a STAC collection) and the bands taken from it, in chip order."""

    id: Text
    """Product id, or STAC collection id."""
    bands: Annotated[
        tuple[_BandName, ...],
        Field(min_length=1, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_refuse_repeated),
    ] = ()
    """Asset keys or patterns of them, `asset:2` for a second band, band names or common names; for a platform, band
    names; for files, numbers or descriptions, by default all bands."""
    resampling: Literal[
        "nearest",
        "bilinear",
        "cubic",
        "cubic_spline",
        "lanczos",
        "average",
        "mode",
        "max",
        "min",
        "med",
        "q1",
        "q3",
        "rms",
    ] = "nearest"
    """How pixels are resampled to the tile's grid; nearest takes the pixel under the centre."""
    nodata: Annotated[Number, Field(allow_inf_nan=True), KEEP_INTEGER] | Nodata | None = None
    """Nodata value of the scenes and the chip, or a value and `when`; null takes what the scenes declare."""
    collections: Annotated[Mapping[str, tuple[_BandName, ...] | None] | None, Field(min_length=1)] = None
    """For STAC: several collections composited as this product, each with its names of `bands` in their order, or null
    where they go by the same names, such as common names. `id` is then any name."""
    processing_level: Text | None = None
    """How a platform processes the stored values, such as `toa` or `surface`; null takes the product's own level."""

    @property
    def nodata_rule(self) -> Nodata | None:
        """The nodata value with its rule; None where the scenes declare it."""
        return self.nodata if isinstance(self.nodata, Nodata) or self.nodata is None else Nodata(self.nodata)


Bits = Annotated[tuple[Annotated[Integer, Field(ge=0, le=31)], ...], Field(min_length=1)]
"""Numbers of bits; 0 is the lowest."""


@dataclass(frozen=True)
class BitField(Block):
    """Neighbouring bits of a mask that hold one number, such as a confidence."""

    bits: Bits
    """The bits of the field (0 is the lowest), neighbours in ascending order; the first is the lowest of the number."""
    clear: Annotated[tuple[Annotated[Integer, Field(ge=0)], ...], Field(min_length=1)]
    """Numbers in the field that mark a clear pixel; all others are masked."""

    @model_validator(mode="after")
    def _check(self) -> "BitField":
        low, high = self.bits[0], self.bits[-1]
        if list(self.bits) != list(range(low, high + 1)):
            raise problem("bits", f"{list(self.bits)} are not neighbours in ascending order; write such as [6, 7]")
        largest = 2 ** len(self.bits) - 1
        if max(self.clear) > largest:
            raise problem("clear", f"{max(self.clear)} does not fit {len(self.bits)} bits; give 0 to {largest}")
        return self


@dataclass(frozen=True)
class CloudMask(Block):
    """The band that says which pixels are clear; it names an asset of the same scenes, or a product and its band."""

    asset: str | None = None
    """Asset (or band) of each scene that holds the mask."""
    product: str | None = None
    """Product that holds the masks, paired with the images by acquisition."""
    band: str | None = None
    """Band of the mask product."""
    clear: Annotated[tuple[Integer, ...] | None, Field(min_length=1)] = None
    """Mask values of clear pixels; all others are masked."""
    bits: Bits | None = None
    """Bits (0 is the lowest) that mark a pixel as not clear."""
    fields: Annotated[tuple[BitField, ...] | None, Field(min_length=1)] = None
    """Fields of several bits, with the numbers that mark a clear pixel; all fields and `bits` have to be clear."""
    max: Annotated[Number | None, KEEP_INTEGER] = None
    """The largest mask value of a clear pixel, such as a cloud probability of 40."""
    min: Annotated[Number | None, KEEP_INTEGER] = None
    """The smallest mask value of a clear pixel."""

    @model_validator(mode="after")
    def _check(self) -> "CloudMask":
        if bool(self.asset) == bool(self.product):
            raise problem("", "name either asset (of the same scenes) or product and band")
        if self.product and not self.band:
            raise problem("band", f"missing; name the band of product '{self.product}' that holds the mask")
        by_bits, by_range = bool(self.bits or self.fields), self.max is not None or self.min is not None
        if [bool(self.clear), by_bits, by_range].count(True) != 1:
            text = (
                "give one of clear (values of clear pixels), bits and fields (bits that mark what is not clear, and "
                "fields of bits), or max and min (the range of clear pixels)"
            )
            raise problem("", text)
        if self.max is not None and self.min is not None and self.min > self.max:
            raise problem("min", f"{self.min} is above max ({self.max}); swap them")
        return self


@dataclass(frozen=True, kw_only=True)
class ImageryConfig(Block):
    """One layer: where its scenes come from and how they become one chip.

    Fields that change no result are left out of the repr, and so of rerun digests: how failures are handled, and how
    many requests are sent at once.
    """

    IN_MAP: ClassVar = True

    source: Literal["stac", "descarteslabs", "earthone", "files"] = "stac"
    """What provides the scenes: a STAC catalogue, the platform of Descartes Labs or EarthOne, or raster files."""
    catalog: str | None = None
    """Path or URL of a STAC API, a static catalogue or collection, or a file or folder of items."""
    path: str | None = None
    """For source files: a raster, a folder of rasters, or a pattern such as `dem/*.tif`."""
    sign: Literal["planetary_computer", None] = None
    """Service that signs asset URLs before they are read; signatures are never stored, nor those in a catalogue."""
    products: Annotated[tuple[Product, ...], Field(min_length=1)] = ()
    """The products; bands of several products are stacked in this order. Source files needs none."""
    start: Day | None = None
    """First day, inclusive (UTC); null sets no limit."""
    end: Day | None = None
    """Last day, inclusive to its end (UTC); null sets no limit."""
    filter: str | dict[str, Any] | None = None
    """Which items of a STAC catalogue are used: CQL2 text, or properties with the value, or list of values, to
    match."""
    exclude: tuple[Text, ...] = ()
    """Ids of scenes that are not used."""
    max_cloud: Annotated[Number | None, Field(gt=0, le=1), KEEP_INTEGER] = None
    """A scene is used if its cloud fraction is strictly below this; null sets no limit."""
    composite: Literal["closest", "least_cloud", "median", "mean"] = "closest"
    """closest takes each pixel from the scene nearest to the reference date that has it, least_cloud from that with the
    smallest cloud fraction; median and mean use all."""
    reference_date: Day | None = None
    """The day that `closest` counts from, and `least_cloud` among equal cloud fractions; without start, end and this
    date, `closest` takes the latest scene first."""
    cloud_mask: CloudMask | None = None
    """The band that says which pixels are clear; it names an asset of the same scenes, or a product and its band."""
    periods: Every | Annotated[tuple[tuple[Day, Day], ...], Field(min_length=1)] | None = None
    """The steps of a time series: `{every: 1 month}` from start to end, or a list of [first day, last day]. Each is a
    composite of its own; one without scenes has no valid pixels."""
    scenes: Annotated[Integer, Field(ge=1)] | None = None
    """Makes a time series of so many acquisition days: the nearest to the reference date, without it the latest."""
    resolution: Annotated[Number, Field(gt=0), KEEP_INTEGER] | None = None
    """Metres along a pixel of the layer, a whole multiple of that of the tiles; null takes that of the tiles."""
    overviews: Flag | None = None
    """Whether overviews are read where tile pixels are larger than those of a scene. null reads them with resampling
    that averages, and with mode where files say that they hold single pixels; true with any, and for the cloud mask;
    false never."""
    min_valid: Share = 0.0
    """A chip with a smaller share of valid pixels (valid in every band) is not written to a shard."""
    optional: Flag = False
    """Whether a tile without scenes of this layer gets a chip without valid pixels; else it gets no chips at all."""
    provenance: Flag = False
    """Write a second raster for each chip with every pixel's scene and its days from the reference date."""
    on_failure: Literal["fail", "exclude", "skip_scene"] = field(default="fail", repr=False)
    """What to do if a scene cannot be read; fail does not write the shards of its tiles, exclude writes them without
    these tiles, skip_scene makes the tiles from their other scenes. An optional layer has no valid pixels there with
    exclude, and where no scene can be read with skip_scene."""
    patience: Annotated[Number, Field(ge=1, le=86400), KEEP_INTEGER] = field(default=300, repr=False)
    """Seconds that a request to a platform, or for a part of a file on an HTTP server, may take in total, including
    waits and retries."""
    requests: Derived[int] = field(default=32, repr=False)

    @property
    def period(self) -> str:
        """The searched days in words, such as `2017-01-01 to 2017-12-31`."""
        if self.start and self.end:
            return f"{self.start} to {self.end}"
        return f"from {self.start}" if self.start else f"until {self.end}" if self.end else "any date"

    @property
    def steps(self) -> tuple[Period, ...]:
        """The periods of a time series, in time order; empty where there are none."""
        if isinstance(self.periods, Every):
            return self.periods.periods(self.start, self.end) if self.start and self.end else ()
        return self.periods or ()

    @property
    def is_series(self) -> bool:
        """Whether chips hold several steps."""
        return self.periods is not None or self.scenes is not None

    @property
    def takes_first(self) -> bool:
        """Whether each value of the composite comes from one scene: the first in order that has it."""
        return self.composite in ("closest", "least_cloud")

    @property
    def skips_scenes(self) -> bool:
        """Whether a chip is made without scenes that cannot be read."""
        return self.on_failure == "skip_scene" or (self.optional and self.on_failure == "exclude")

    @property
    def on_platform(self) -> bool:
        """Whether a platform searches, warps and mosaics; otherwise files are read."""
        return self.source in PLATFORMS

    @model_validator(mode="after")
    def _check(self) -> "ImageryConfig":
        if self.start and self.end and self.start > self.end:
            raise problem("start", f"{self.start} is after end ({self.end}); swap them")
        self._check_series()
        needs_date = self.composite == "closest" and self.source != "files" and not self.is_series
        if needs_date and not self.reference_date and (self.start or self.end):
            text = f"missing; composite 'closest' counts days from it, so name one such as {self.start or self.end}"
            raise problem("reference_date", text)
        if self.filter is not None:
            self._check_filter(self.filter)
        if not self.catalog and self.source == "stac":
            raise problem("catalog", "missing; source 'stac' needs the path or URL of a catalogue")
        if self.source == "files" and not self.path:
            raise problem("path", "missing; source 'files' needs a raster, a folder of rasters, or a pattern")
        if not self.products and self.source != "files":
            raise problem("products", "missing; name the products and their bands")
        ids = [product.id for product in self.products]
        if len(set(ids)) < len(ids):
            raise problem("products", f"a product is named twice ({', '.join(ids)}); list all its bands in one entry")
        if self.resolution and self.on_platform:
            raise problem("resolution", f"source '{self.source}' reads pixels of the tiles' size; remove the key")
        for number, product in enumerate(self.products):
            self._check_product(product, f"products.{number}")
        return self._of_files() if self.source == "files" else self._searched()

    def _of_files(self) -> "ImageryConfig":
        """The layer without keys that files have no use for, which it may have taken from beside its name."""
        return replace(
            self,
            catalog=None,
            products=self.products or (Product("files", ()),),
            start=None,
            end=None,
            filter=None,
            max_cloud=None,
            composite="closest" if self.composite == "least_cloud" else self.composite,
            reference_date=None,
            cloud_mask=None,
            periods=None,
            scenes=None,
        )

    def _searched(self) -> "ImageryConfig":
        """The layer with the first and last day of a list of periods as those of the search."""
        if not isinstance(self.periods, tuple) or (self.start and self.end):
            return self
        return replace(self, start=self.start or self.periods[0][0], end=self.end or self.periods[-1][1])

    def _check_series(self) -> None:
        if self.periods is not None and self.scenes is not None:
            raise problem("scenes", "both periods and scenes give the steps; remove one of them")
        if isinstance(self.periods, Every) and not (self.start and self.end):
            missing = "end" if self.start else "start"
            raise problem(missing, f"missing; periods of {self.periods.every} are cut from start to end")
        steps = self.steps
        for number, (first, last) in enumerate(steps):
            if first > last:
                raise problem("periods", f"{first} is after {last}; swap them")
            if number and first <= steps[number - 1][1]:
                raise problem("periods", f"{first} is not after {steps[number - 1][1]}; list periods in time order")

    def _check_filter(self, wanted: str | dict[str, Any]) -> None:
        if self.on_platform:
            raise problem("filter", f"source '{self.source}' has no items to filter; remove the key")
        for name, value in wanted.items() if isinstance(wanted, dict) else ():
            values = value if isinstance(value, list) else [value]
            if not values or not all(isinstance(one, str | int | float) for one in values):
                raise problem(f"filter.{name}", f"{value!r} cannot be matched; give a text, a number or a list of them")
        try:
            import cql2
        except ImportError:  # training code reads configs without the libraries of the workflow
            return
        try:
            cql2.parse_text(wanted) if isinstance(wanted, str) else None
        except cql2.ParseError as error:
            reason = " ".join(str(error).split("=")[-1].split())
            advice = "write CQL2 text such as platform = 'sentinel-2a', or properties to match"
            raise problem("filter", f"'{wanted}' cannot be parsed ({reason}); {advice}") from error

    def _check_product(self, product: Product, place: str) -> None:
        if not product.bands and self.source != "files":
            raise problem(f"{place}.bands", f"missing; name the bands of '{product.id}'")
        for name, bands in (product.collections or {}).items():
            if self.source != "stac":
                raise problem(f"{place}.collections", f"source '{self.source}' has no collections; remove the key")
            if bands is not None and len(bands) != len(product.bands):
                text = f"{len(bands)} bands stand for the {len(product.bands)} of the product; name as many"
                raise problem(f"{place}.collections.{name}", text)
        if product.processing_level and not self.on_platform:
            text = (
                f"'{product.processing_level}' is for {' and '.join(PLATFORMS)}; "
                f"source '{self.source}' reads files as they are, so remove the key"
            )
            raise problem(f"{place}.processing_level", text)
        if product.nodata_rule and product.nodata_rule.when == "all" and self.on_platform:
            text = f"source '{self.source}' masks nodata band by band; set when to any"
            raise problem(f"{place}.nodata.when", text)
        if product.resampling == "rms" and self.on_platform:
            raise problem(f"{place}.resampling", f"source '{self.source}' does not offer 'rms'; choose another")
