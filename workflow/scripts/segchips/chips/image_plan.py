"""TODO: describe."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property

from segchips.config.model import Dataset
from segchips.files import digest
from segchips.scenes.model import Scene
from segchips.scenes.pinning import SceneLock
from segchips.scenes.query import closest_order, natural_order

Scaling = tuple[float, float]


@dataclass(frozen=True)
class ImagePlan:
    """What every image chip of a dataset is made from, worked out once for all tiles."""

    dataset: Dataset
    lock: SceneLock
    code_version: str = ""

    @cached_property
    def _ranks(self) -> Mapping[int, int]:
        """Each scene's place in the order in which the composite takes scenes."""
        imagery, scenes = self.dataset.imagery, self.lock.scenes
        if imagery.composite == "closest" and imagery.reference_date:
            ordered = closest_order(scenes, datetime.combine(imagery.reference_date, time.min, UTC))
        else:
            ordered = natural_order(scenes)
        place = {(scene.product, scene.id): rank for rank, scene in enumerate(ordered)}
        return {index: place[scene.product, scene.id] for index, scene in enumerate(scenes)}

    @cached_property
    def scaling(self) -> Mapping[tuple[str, str], Scaling]:
        """The scale and offset of each product's bands in the chips: the offset nearest to zero among its scenes."""
        found: dict[tuple[str, str], set[Scaling]] = {}
        for product in self.dataset.imagery.products:
            for scene in (scene for scene in self.lock.scenes if scene.product == product.id):
                for name in product.bands:
                    band = scene.band(name)
                    found.setdefault((product.id, name), set()).add((band.scale, band.offset))
        return {key: min(pairs, key=lambda pair: (abs(pair[1]), pair)) for key, pairs in found.items()}

    @cached_property
    def declared_nodata(self) -> Mapping[str, float]:
        """The nodata value that most bands of each product's scenes declare; smaller wins a tie."""
        chosen = {}
        for product in self.dataset.imagery.products:
            scenes = [scene for scene in self.lock.scenes if scene.product == product.id]
            values = Counter(
                str(band.nodata)
                for scene in scenes
                for name in product.bands
                if (band := scene.band(name)).nodata is not None
            )
            if values:
                chosen[product.id] = float(min(values, key=lambda text: (-values[text], float(text))))
        return chosen

    @cached_property
    def _pins(self) -> Mapping[int, str]:
        """A digest of what each scene gives to a chip."""
        mask = self.dataset.imagery.cloud_mask
        extra = (mask.asset,) if mask and mask.asset else ()
        names = {product.id: (*product.bands, *extra) for product in self.dataset.imagery.products}
        if mask and mask.product and mask.band:
            names[mask.product] = (*names.get(mask.product, ()), mask.band)
        return {
            index: digest(scene.product, scene.id, scene.acquired, *map(scene.band, names[scene.product]))
            for index, scene in enumerate(self.lock.scenes)
            if scene.product in names
        }

    @cached_property
    def _common(self) -> str:
        imagery = self.dataset.imagery
        parts = (imagery.products, imagery.composite, imagery.cloud_mask, imagery.sign)
        return digest(
            self.code_version,
            imagery.source,
            *parts,
            sorted(self.scaling.items()),
            sorted(self.declared_nodata.items()),
        )

    def _indices(self, key: str, product: str) -> list[int]:
        members = (index for index in self.lock.tiles[key] if self.lock.scenes[index].product == product)
        return sorted(members, key=self._ranks.__getitem__)

    def scenes(self, key: str, product: str) -> list[Scene]:
        """A tile's scenes of one product in the order of the composite."""
        return [self.lock.scenes[index] for index in self._indices(key, product)]

    def digest(self, key: str) -> str:
        """Changes exactly when the tile's chip has to be made again."""
        imagery = self.dataset.imagery
        images = [index for product in imagery.products for index in self._indices(key, product.id)]
        masks: list[int] = []
        if imagery.cloud_mask and imagery.cloud_mask.product:
            times = {self.lock.scenes[index].acquired for index in images}
            members = sorted(self._indices(key, imagery.cloud_mask.product))
            masks = [index for index in members if self.lock.scenes[index].acquired in times]
        return digest(self._common, *(self._pins[index] for index in (*images, *masks)))

    def made(self) -> list[str]:
        """The tiles that have a scene of every product, and so get a chip."""
        wanted = {product.id for product in self.dataset.imagery.products}
        products = [scene.product for scene in self.lock.scenes]
        return [key for key, indices in self.lock.tiles.items() if wanted <= {products[index] for index in indices}]

    def missing(self, key: str) -> str | None:
        """Why the tile gets no chip: the products of which it has no scene; None where it has one of each."""
        there = {self.lock.scenes[index].product for index in self.lock.tiles[key]}
        absent = [product.id for product in self.dataset.imagery.products if product.id not in there]
        return f"no scene of {', '.join(absent)} within the dates and the cloud limit" if absent else None
