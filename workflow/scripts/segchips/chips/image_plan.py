"""Image plans: which scenes each image chip of a layer is made from, and in what order."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import cached_property

import numpy as np

from segchips.arrays import Ints, Mask
from segchips.chips.remote_rasters import is_on_http
from segchips.chips.steps import Step, steps_of
from segchips.config.imagery import ImageryConfig
from segchips.files import digest
from segchips.grids.tile_array import TileKeys
from segchips.scenes.model import Scaling, Scene
from segchips.scenes.pinning import Indices, SceneLock
from segchips.scenes.query import closest_order, least_cloud_order, natural_order
from segchips.scenes.usable import usable_scenes, wanted_bands


@dataclass(frozen=True)
class ImagePlan:
    """What every image chip of one layer is made from, computed once for all tiles.

    Scenes that lack a band or mask, or are excluded, are left out of what the lock holds.

    Attributes:
        imagery: The layer's products, dates, masks and composite; products name single bands.
        lock: The scenes of each tile that are used.
        code_version: A digest of the code that makes the chips.
        config_key: Where the config declares the layer, for messages.
        left_out: Product, id and reason of each scene that is left out.
    """

    imagery: ImageryConfig
    lock: SceneLock
    code_version: str
    config_key: str
    left_out: Mapping[tuple[str, str], str] = field(init=False)

    def __post_init__(self) -> None:
        usable = usable_scenes(self.imagery, self.lock)
        for name in ("imagery", "lock", "left_out"):
            object.__setattr__(self, name, getattr(usable, name))

    @cached_property
    def _ranks(self) -> Mapping[int, int]:
        """Each scene's place in the order in which the composite takes scenes."""
        imagery, scenes = self.imagery, self.lock.scenes
        if imagery.takes_first:
            day, order = imagery.reference_date, closest_order if imagery.composite == "closest" else least_cloud_order
            ordered = order(scenes, datetime.combine(day, time.min, UTC) if day else None)
        else:
            ordered = natural_order(scenes)
        rank = {(scene.product, scene.id): position for position, scene in enumerate(ordered)}
        return {index: rank[scene.product, scene.id] for index, scene in enumerate(scenes)}

    @cached_property
    def reads_http(self) -> bool:
        """Whether any scene has a file on an HTTP server."""
        bands = (band for scene in self.lock.scenes for named in scene.assets.values() for _, band in named)
        return any(is_on_http(band.href) for band in bands)

    @cached_property
    def scaling(self) -> Mapping[tuple[str, str], Scaling]:
        """The scale and offset of each product's bands in the chips: the offset nearest to zero among its scenes."""
        declared: dict[tuple[str, str], set[Scaling]] = {}
        for product in self.imagery.products:
            for scene in (scene for scene in self.lock.scenes if scene.product == product.id):
                for name in product.bands:
                    declared.setdefault((product.id, name), set()).add(scene.band(name).scaling)
        return {key: min(pairs, key=lambda pair: (abs(pair[1]), pair)) for key, pairs in declared.items()}

    @cached_property
    def declared_nodata(self) -> Mapping[str, float]:
        """The nodata value that most bands of each product's scenes declare; the smaller value wins a tie."""
        most_common = {}
        for product in self.imagery.products:
            scenes = [scene for scene in self.lock.scenes if scene.product == product.id]
            counts = Counter(
                str(band.nodata)
                for scene in scenes
                for name in product.bands
                if (band := scene.band(name)).nodata is not None
            )
            if counts:
                most_common[product.id] = float(min(counts, key=lambda text: (-counts[text], float(text))))
        return most_common

    @cached_property
    def _pins(self) -> Mapping[int, str]:
        """A digest of what each scene contributes to chips, by the scene's index."""
        names = wanted_bands(self.imagery)
        return {
            index: digest(scene.product, scene.id, scene.acquired, *map(scene.band, names[scene.product]))
            for index, scene in enumerate(self.lock.scenes)
            if scene.product in names
        }

    @cached_property
    def _common_digest(self) -> str:
        """A digest of everything that all chips depend on."""
        imagery = self.imagery
        return digest(
            self.code_version,
            imagery.source,
            imagery.products,
            imagery.composite,
            imagery.cloud_mask,
            imagery.sign,
            sorted(self.scaling.items()),
            sorted(self.declared_nodata.items()),
            *([] if imagery.resolution is None else [imagery.resolution]),
            *([] if imagery.overviews is None else [f"overviews: {imagery.overviews}"]),
        )

    def _ordered(self, pinned: Indices, product: str, step: Step | None = None) -> list[int]:
        """Those of some scenes of one product, or those in a step, in the order in which the composite takes them."""
        scenes = self.lock.scenes
        indices = [index for index in pinned if scenes[index].product == product]
        if step is None:
            return sorted(indices, key=self._ranks.__getitem__)
        within = [index for index in indices if step.holds(scenes[index])]
        if self.imagery.composite != "closest" or self.imagery.reference_date:
            return sorted(within, key=self._ranks.__getitem__)
        by_name = {scenes[index].id: index for index in within}
        return [by_name[scene.id] for scene in closest_order([scenes[index] for index in within], step.middle)]

    def scenes(self, key: str, product: str, step: Step | None = None) -> list[Scene]:
        """Return a tile's scenes of one product, or those in a step, in the order in which the composite takes them."""
        return [self.lock.scenes[index] for index in self._ordered(self.lock.tiles[key], product, step)]

    def scenes_of(self, product: str) -> Iterator[Scene]:
        """Yield the scenes of a product on all tiles."""
        return (scene for scene in self.lock.scenes if scene.product == product)

    def steps(self, key: str) -> list[Step]:
        """Return the steps of a tile's time series; none where the layer is no time series."""
        return self._steps(self.lock.tiles[key])

    def _steps(self, pinned: Indices) -> list[Step]:
        products = {product.id for product in self.imagery.products}
        scenes = (self.lock.scenes[index] for index in pinned)
        return steps_of(self.imagery, [scene for scene in scenes if scene.product in products])

    def digest(self, key: str) -> str:
        """Return a digest of everything that a tile's chip depends on."""
        return self._digest(self.lock.tiles.set_number(key))

    def digests(self, keys: Sequence[str]) -> list[str]:
        """Return the digest of each of several tiles; KeyError where the lock has none of them."""
        numbers = self.lock.tiles.numbers[self.lock.tiles.tiles.known_rows(keys)]
        return list(map(self._digest, numbers.tolist()))

    def _digest(self, number: int) -> str:
        """The digest of tiles with a set of scenes."""
        if number not in self._digests:
            pinned = self.lock.tiles.sets[number]
            if self.imagery.is_series:
                steps = self._steps(pinned)
                found = digest(*((*step.days, self._step_digest(pinned, step)) for step in steps))
            else:
                found = self._step_digest(pinned, None)
            self._digests[number] = found
        return self._digests[number]

    @cached_property
    def _digests(self) -> dict[int, str]:
        """The digests of the sets of scenes that were asked for."""
        return {}

    def step_digest(self, key: str, step: Step | None) -> str:
        """Return a digest of everything that one step of a tile's chip depends on; None stands for the whole chip."""
        return self._step_digest(self.lock.tiles[key], step)

    def _step_digest(self, pinned: Indices, step: Step | None) -> str:
        imagery = self.imagery
        images = [index for product in imagery.products for index in self._ordered(pinned, product.id, step)]
        masks: list[int] = []
        if imagery.cloud_mask and imagery.cloud_mask.product:
            times = {self.lock.scenes[index].acquired for index in images}
            indices = sorted(self._ordered(pinned, imagery.cloud_mask.product))
            masks = [index for index in indices if self.lock.scenes[index].acquired in times]
        return digest(self._common_digest, *(self._pins[index] for index in (*images, *masks)))

    def have_chips(self, keys: TileKeys) -> Mask:
        """Return which tiles (n) have a scene of every product, and so get a chip."""
        complete = np.array([not self._missing(pinned) for pinned in self.lock.tiles.sets], bool)
        rows = self.lock.tiles.tiles.rows(keys)
        return np.asarray((rows >= 0) & complete[self.lock.tiles.numbers[rows]])

    def missing_scenes(self, key: str) -> str | None:
        """Return why a tile gets no chip: the products of which it has no scene; None where it gets one."""
        return self._missing(self.lock.tiles[key])

    def _missing(self, pinned: Indices) -> str | None:
        present = {self.lock.scenes[index].product for index in pinned}
        missing = [product.id for product in self.imagery.products if product.id not in present]
        if not missing:
            return None
        left_out = sum(product in missing for product, _ in self.left_out)
        more = f"; {left_out} scenes are left out, see the log of the scenes" if left_out else ""
        if self.imagery.source == "files":
            return f"no raster of '{self.imagery.path}' meets the tile{more}"
        limits = {"the dates": self.imagery.start or self.imagery.end, "the cloud limit": self.imagery.max_cloud}
        within = " and ".join(limit for limit, is_set in limits.items() if is_set is not None)
        return f"no scene of {', '.join(missing)} meets the tile{' within ' if within else ''}{within}{more}"


@dataclass(frozen=True)
class ImagePlans:
    """The image plan of each layer of a dataset, by name."""

    layers: Mapping[str, ImagePlan]

    def have_chips(self, keys: TileKeys) -> Mask:
        """Return which tiles (n) have scenes of every layer that is not optional, and so get chips."""
        return np.all([plan.have_chips(keys) for plan in self._required], axis=0)

    @property
    def _required(self) -> list[ImagePlan]:
        return [plan for plan in self.layers.values() if not plan.imagery.optional]

    def missing_scenes(self, key: str) -> str | None:
        """Return why a tile gets no chips: the layers and products without scenes of it; None where it gets them."""
        reasons = [
            f"{layer}: {missing}" if layer else missing
            for layer, plan in self.layers.items()
            if not plan.imagery.optional and (missing := plan.missing_scenes(key))
        ]
        return "; ".join(reasons) or None

    def scene_counts(self, keys: TileKeys) -> Ints:
        """Return how many scenes each of several tiles (n) is pinned to in all layers."""
        total = np.zeros(len(keys), np.int64)
        for plan in self.layers.values():
            tiles, rows = plan.lock.tiles, plan.lock.tiles.tiles.rows(keys)
            counts = np.array([0, *map(len, tiles.sets)])
            total += counts[np.where(rows < 0, 0, tiles.numbers[rows] + 1)]
        return total
