"""The composite of one product's scenes on one tile."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from segchips.arrays import Mask, MaskedPixels, Pixels
from segchips.chips import composite
from segchips.chips.image_plan import ImagePlan
from segchips.chips.nodata import check_configured_nodata, fits_dtype
from segchips.chips.pixel_values import is_clear, rescale
from segchips.chips.readers import SceneRead, open_reader
from segchips.chips.steps import Step
from segchips.config.imagery import CloudMask, Product
from segchips.errors import SceneError, ServiceError
from segchips.grids.tile import Tile
from segchips.scenes.model import UNDATED, Scene

_METHODS = {"median": composite.median, "mean": composite.mean}
NO_ORIGIN = -(2**15)
"""The provenance of pixels that no scene contributed."""


@dataclass(frozen=True)
class ProductComposite:
    """One product's bands of a chip.

    Attributes:
        pixels: Band, row, column, on the tile's padded grid.
        valid: Which of the pixels are valid.
        scenes: Id, time and share of each scene that contributed, as the chip's tags list them; last those that are
            skipped, with the reason.
        provenance: Planes (band, row, column, int16) by kind. A composite of first values has `scene`, which numbers
            `scenes` from 1, and `days` from the reference date if there is one; others have `count`, the number of
            valid scenes. Empty unless requested.
    """

    pixels: Pixels
    valid: Mask
    scenes: Sequence[Mapping[str, object]]
    provenance: Mapping[str, Pixels]


class ProductCompositor:
    """Reads and composites the scenes of one product on one tile.

    Args:
        plan: The plan of the layer.
        product: A product of the layer.
        tile: The tile.
        step: The step of a time series; None takes all scenes of the tile.
        with_provenance: Whether to record where each value comes from.

    Raises:
        ConfigError: The configured nodata value does not fit the scenes' dtype.
        SceneError: The first scene cannot be read.
    """

    def __init__(self, plan: ImagePlan, product: Product, tile: Tile, step: Step | None, with_provenance: bool) -> None:
        self.product = product
        self._plan, self._tile, self._with_provenance = plan, tile, with_provenance
        self._scenes = plan.scenes(tile.key, product.id, step)
        self._reader = open_reader(plan.imagery)
        self._skipped: dict[str, str] = {}
        self._clear_pixels: dict[str, Mask] = {}
        self._prefetch()
        self._example, self.dtype, file_nodata = self._describe_first()
        self.nodata = self._choose_nodata(file_nodata)

    def _describe_first(self) -> tuple[Scene, np.dtype[Any], float | None]:
        """The first scene of the tile, or else of others, that can be read, with its dtype and nodata value."""
        for scene in chain(self._scenes, self._plan.scenes_of(self.product.id)):
            if scene.id not in self._skipped:
                with self._skipping(scene):
                    return scene, *self._reader.describe(scene, self.product)
        if self._skipped:
            raise SceneError(self._none_readable())
        raise SceneError(f"{self._plan.config_key}: no scene of '{self.product.id}' says what its pixels are like")

    @contextmanager
    def _skipping(self, scene: Scene) -> Iterator[None]:
        """Record that a scene cannot be read, where the config skips such scenes; a service that fails is no scene."""
        try:
            yield
        except ServiceError:
            raise
        except SceneError as error:
            if not self._plan.imagery.skips_scenes:
                raise
            self._skipped[scene.id] = str(error)

    def _none_readable(self) -> str:
        first = next(iter(self._skipped.values()))
        return f"none of the {len(self._scenes)} scenes of '{self.product.id}' can be read: {first}"

    def _prefetch(self) -> None:
        """Fetch all that is known to be needed at the same time: the first scene, or the scenes of the whole stack."""
        if not self._plan.reads_http:
            return
        mask = self._plan.imagery.cloud_mask
        scenes = self._scenes[:1] if self._plan.imagery.takes_first else self._scenes
        if mask:
            reads = (
                SceneRead(other, [name], "nearest") for scene in scenes for other, name in self._mask_bands(scene, mask)
            )
            self._reader.prefetch(list(reads), self._tile)
            scenes = [scene for scene in scenes if self._may_have_clear_pixels(scene)]
        self._reader.prefetch([self._image_read(scene) for scene in scenes], self._tile)

    def _may_have_clear_pixels(self, scene: Scene) -> bool:
        with suppress(SceneError):  # the read itself raises it
            return bool(np.any(self._clear(scene)))
        return False

    def _image_read(self, scene: Scene) -> SceneRead:
        return SceneRead(scene, self.product.bands, self.product.resampling)

    def composite(self) -> ProductComposite:
        """Composite the scenes as the config says, and name those that cannot be read where it skips them.

        Raises:
            SceneError: A scene cannot be read, or its dtype differs from the first scene's.
        """
        made, left_out = self._composite(), self._scenes_skipped()
        if left_out and self._plan.imagery.on_failure == "exclude":
            made = self._empty()
        skipped = [_share(scene, 0.0) | {"skipped": self._skipped[scene.id]} for scene in left_out]
        return replace(made, scenes=[*made.scenes, *skipped]) if skipped else made

    def can_read(self, scene_id: str) -> bool:
        """Return whether the bands and the mask of a scene of the tile can be read."""
        scene = next((scene for scene in self._scenes if scene.id == scene_id), None)
        with suppress(SceneError):
            if scene and scene_id not in self._skipped:
                self._clear(scene)
                self._read(scene)
                return True
        return False

    def _scenes_skipped(self) -> list[Scene]:
        return [scene for scene in self._scenes if scene.id in self._skipped]

    def _composite(self) -> ProductComposite:
        if not self._scenes:
            return self._empty()
        if self._plan.imagery.takes_first:
            mosaic = None if self._with_provenance else self._mosaic()
            return mosaic or self._first_valid()
        scenes: list[Scene] = []
        stack = list(self._read_scenes(scenes))
        pixels, valid, counts = _METHODS[self._plan.imagery.composite](stack)
        provenance = {}
        if self._with_provenance:
            provenance = {"count": np.asarray(np.sum([mask for _, mask in stack], axis=0, dtype=np.int16))}
        total = sum(counts.values())
        shares = [_share(scenes[number], count / total) for number, count in counts.items()]
        return ProductComposite(pixels, valid, shares, provenance)

    def _empty(self) -> ProductComposite:
        """A composite without valid pixels."""
        shape, kinds = (len(self.product.bands), self._tile.size, self._tile.size), ["count"]
        if self._plan.imagery.takes_first:
            kinds = ["scene", "days"] if self._plan.imagery.reference_date else ["scene"]
        value = 0 if kinds == ["count"] else NO_ORIGIN
        provenance = {kind: np.full(shape, value, np.int16) for kind in kinds} if self._with_provenance else {}
        return ProductComposite(np.zeros(shape, self.dtype), np.zeros(shape, bool), [], provenance)

    def _first_valid(self) -> ProductComposite:
        scenes: list[Scene] = []
        shape = len(self.product.bands), self._tile.size, self._tile.size
        origin = np.full(shape, -1, np.int16) if self._with_provenance else None
        pixels, valid, counts = composite.closest(self._read_scenes(scenes), origin)
        shares = [_share(scenes[number], count / valid.size) for number, count in counts.items()]
        provenance = {} if origin is None else self._provenance(origin, scenes, list(counts))
        return ProductComposite(pixels, valid, shares, provenance)

    def _mosaic(self) -> ProductComposite | None:
        """The first valid value of each pixel in one request, which does not report the shares of several scenes.

        None where a cloud mask applies, or where the source cannot do that.
        """
        if self._plan.imagery.cloud_mask:
            return None
        mosaic = self._reader.mosaic(self._scenes, self.product, self._tile)
        if mosaic is None:
            return None
        pixels, valid = mosaic
        share = float(valid.mean()) if len(self._scenes) == 1 else None
        return ProductComposite(pixels, valid, [_share(scene, share) for scene in self._scenes], {})

    def _provenance(self, origin: Pixels, scenes: Sequence[Scene], contributors: list[int]) -> dict[str, Pixels]:
        """Each value's scene, numbered from 1 among the contributors, and its days from the reference date."""
        reference = self._plan.imagery.reference_date
        # The last element of both tables stands for origin -1: no scene.
        numbers, days = (np.full(max(contributors, default=0) + 2, NO_ORIGIN, np.int16) for _ in range(2))
        dates = [scenes[number].acquired.date() for number in contributors]
        numbers[contributors] = range(1, len(contributors) + 1)
        if not reference:
            return {"scene": numbers[origin]}
        days[contributors] = [(date - reference).days for date in dates]
        return {"scene": numbers[origin], "days": days[origin]}

    def _read_scenes(self, scenes: list[Scene]) -> Iterator[MaskedPixels]:
        """Read the scenes in order, and add each to `scenes`.

        A scene whose mask leaves no clear pixel is not read, unless no scene would be read at all.
        """
        for scene in self._scenes:
            if scene.id in self._skipped:
                continue
            read = None
            with self._skipping(scene):
                clear = self._clear(scene)
                if clear is not None and not clear.any() and (scenes or scene is not self._scenes[-1]):
                    continue
                read = self._read(scene)
            if read:
                pixels, valid = read
                scenes.append(scene)
                yield pixels, valid if clear is None else valid & clear
        if len(self._scenes_skipped()) == len(self._scenes) and not self._plan.imagery.optional:
            raise SceneError(self._none_readable())
        if not scenes:  # the last scene is skipped, and the mask leaves nothing of the others
            scenes.append(self._example)
            empty = self._empty()
            yield empty.pixels, empty.valid

    def _read(self, scene: Scene) -> MaskedPixels:
        bands = [scene.band(name) for name in self.product.bands]
        if self._plan.reads_http and self._plan.imagery.takes_first:
            self._reader.prefetch([self._image_read(scene)], self._tile)
        pixels, valid = self._reader.read(scene, self.product, self._tile)
        if pixels.dtype != self.dtype:
            raise SceneError(
                f"scene '{scene.id}' of product '{self.product.id}' holds {pixels.dtype}, "
                f"but '{self._example.id}' holds {self.dtype}; "
                "a product's scenes need one dtype"
            )
        targets = [self._plan.scaling[self.product.id, name] for name in self.product.bands]
        if all(band.scaling == target for band, target in zip(bands, targets, strict=True)):
            return pixels, valid
        try:
            planes = [rescale(*plane) for plane in zip(pixels, valid, bands, targets, strict=True)]
        except OverflowError as error:
            raise SceneError(
                f"scene '{scene.id}' of product '{self.product.id}' has another scale or offset than others, and with "
                f"theirs its value {error} does not fit {self.dtype}; exclude it, or take it in a layer of its own"
            ) from error
        return np.stack(planes), valid

    def _clear(self, scene: Scene) -> Mask | None:
        """Which pixels (row, column) the cloud mask calls clear; None where the config has no cloud mask."""
        mask = self._plan.imagery.cloud_mask
        if mask is None:
            return None
        if scene.id in self._clear_pixels:
            return self._clear_pixels[scene.id]
        clear = np.zeros((self._tile.size, self._tile.size), bool)
        classified = clear.copy()
        for mask_scene, name in self._mask_bands(scene, mask):
            values, covered = self._reader.read_mask(mask_scene, name, self._tile)
            fresh = covered & ~classified
            clear |= fresh & is_clear(values, mask)
            classified |= fresh
        self._clear_pixels[scene.id] = clear
        return clear

    def _mask_bands(self, scene: Scene, mask: CloudMask) -> list[tuple[Scene, str]]:
        """The scene's own mask, or those of the mask product acquired at the same time, that of the same id first."""
        if mask.asset:
            return [(scene, mask.asset)]
        paired = [
            other for other in self._plan.scenes(self._tile.key, str(mask.product)) if other.acquired == scene.acquired
        ]
        return [(other, str(mask.band)) for other in sorted(paired, key=lambda other: (other.id != scene.id, other.id))]

    def _choose_nodata(self, file_nodata: float | None) -> float | None:
        """The product's nodata value: configured, else declared by the catalogue, else by the file.

        None where all bands together mark a pixel as invalid, for then the value is valid in a single band.
        """
        check_configured_nodata(self.product, self.dtype, self._plan.config_key)
        if rule := self.product.nodata_rule:
            return rule.value if rule.when == "any" else None
        candidates = (self._plan.declared_nodata.get(self.product.id), file_nodata)
        return next((value for value in candidates if value is not None and fits_dtype(value, self.dtype)), None)


def _share(scene: Scene, share: float | None) -> dict[str, object]:
    rounded = None if share is None else round(share, 6)
    acquired = {} if scene.acquired == UNDATED else {"acquired": f"{scene.acquired:%Y-%m-%dT%H:%M:%SZ}"}
    return {"id": scene.id, **acquired, "share": rounded}
