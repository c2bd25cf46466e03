"""Which pinned scenes a layer uses: those that have all wanted bands and the mask, and are not excluded."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segchips.config.imagery import ImageryConfig
from segchips.errors import InputError
from segchips.scenes.model import ALPHA, Scene
from segchips.scenes.pinning import SceneLock


@dataclass(frozen=True)
class UsableScenes:
    """What is left of a lock for the bands of a config.

    Attributes:
        imagery: The layer, whose products name single bands: `visual:1` to `visual:3` in place of `visual`.
        lock: The lock without the scenes that are left out.
        left_out: Product, id and reason of each scene that is left out, such as `it has no band 'vv'; it has hh, hv`.
    """

    imagery: ImageryConfig
    lock: SceneLock
    left_out: Mapping[tuple[str, str], str]

    @property
    def lines(self) -> list[str]:
        """A line for each scene that is left out."""
        return [
            f"scene '{scene}' of product '{product}' is left out: {reason}"
            for (product, scene), reason in self.left_out.items()
        ]


def unknown_exclusions(imagery: ImageryConfig, lock: SceneLock) -> list[str]:
    """Return a line for each id in `imagery.exclude` that no scene of the lock has."""
    ids = {scene.id for scene in lock.scenes}
    return [
        f"imagery.exclude: '{name}' is not among the {len(ids)} scenes that the search found; correct or remove it"
        for name in imagery.exclude
        if name not in ids
    ]


def wanted_bands(imagery: ImageryConfig) -> dict[str, tuple[str, ...]]:
    """Return the names of the bands that scenes of each product need, that of a mask last."""
    mask = imagery.cloud_mask
    own = (mask.asset,) if mask and mask.asset else ()
    names = {product.id: (*product.bands, *own) for product in imagery.products}
    if mask and mask.product and mask.band:
        names[mask.product] = (*names.get(mask.product, ()), mask.band)
    return names


def missing_band(scene: Scene, names: Sequence[str]) -> str | None:
    """Return why a scene cannot be used: it lacks one of these bands; None where it has all.

    Raises:
        InputError: Several assets go by one of the names.
    """
    lacking = next((name for name in names if not scene.find_bands(name)), None)
    return None if lacking is None else f"it {scene.lacking(lacking)}"


def with_all_bands(imagery: ImageryConfig, scenes: Sequence[Scene]) -> ImageryConfig:
    """Return a layer of files with the bands of the first file in products that name none.

    A band goes by its description, or by its number where the file does not describe each band differently. An alpha
    band says which pixels are valid, and is no band of its own.
    """
    if not scenes or all(product.bands for product in imagery.products):
        return imagery
    bands = [named_band for members in scenes[0].assets.values() for named_band in members]
    named = tuple(name for name, band in bands if band.common_name != ALPHA or len(bands) == 1)
    products = [product if product.bands else replace(product, bands=named) for product in imagery.products]
    return replace(imagery, products=tuple(products))


def usable_scenes(imagery: ImageryConfig, lock: SceneLock) -> UsableScenes:
    """Leave out the scenes that are excluded or lack a band or mask, and name the bands of assets one by one.

    Raises:
        InputError: No scene of a product has the wanted bands, or a name is ambiguous.
    """
    imagery = with_all_bands(imagery, lock.scenes)
    left_out: dict[tuple[str, str], str] = {}
    products = []
    wanted = wanted_bands(imagery)
    for scene in lock.scenes:
        if scene.id in imagery.exclude:
            left_out[scene.product, scene.id] = "imagery.exclude names it"
        elif reason := missing_band(scene, wanted.get(scene.product, ())):
            left_out[scene.product, scene.id] = reason
    for product, names in wanted.items():
        members = [scene for scene in lock.scenes if scene.product == product and scene.id not in imagery.exclude]
        if members and all((product, scene.id) in left_out for scene in members):
            refuse_bands(members, names)
    for entry in imagery.products:
        members = [scene for scene in lock.scenes if scene.product == entry.id and (entry.id, scene.id) not in left_out]
        counts = {name: _usual_count(members, name) for name in entry.bands}
        for scene in members:
            for name, count in counts.items():
                if len(scene.find_bands(name)) != count:
                    has = len(scene.find_bands(name))
                    left_out[entry.id, scene.id] = f"its '{name}' has {has} bands, but most scenes have {count}"
        bands = tuple(label for name, count in counts.items() for label in _labels(name, count))
        products.append(entry if bands == entry.bands else replace(entry, bands=bands))
    if not left_out and all(one is other for one, other in zip(products, imagery.products, strict=True)):
        return UsableScenes(imagery, lock, {})
    return UsableScenes(replace(imagery, products=tuple(products)), _without(lock, left_out), left_out)


def refuse_bands(scenes: Sequence[Scene], names: Sequence[str]) -> None:
    """Refuse bands that none of the scenes has all of.

    Raises:
        InputError: Always; it shows what the first scene has.
    """
    first = scenes[0]
    lacking = next(name for name in names if not first.find_bands(name))
    several = f" (none of {len(scenes)} scenes has all of {', '.join(names)})" if len(scenes) > 1 else ""
    raise InputError(f"scene '{first.id}' of product '{first.product}' {first.lacking(lacking)}{several}")


def _usual_count(scenes: Sequence[Scene], name: str) -> int:
    """How many bands a name stands for in most scenes; the smaller number wins a tie."""
    counts = Counter(len(scene.find_bands(name)) for scene in scenes)
    return min(counts, key=lambda count: (-counts[count], count), default=1)


def _labels(name: str, count: int) -> Sequence[str]:
    return [name] if count == 1 else [f"{name}:{number}" for number in range(1, count + 1)]


def _without(lock: SceneLock, left_out: Mapping[tuple[str, str], str]) -> SceneLock:
    kept = [index for index, scene in enumerate(lock.scenes) if (scene.product, scene.id) not in left_out]
    place = {index: number for number, index in enumerate(kept)}
    sets = [tuple(place[index] for index in indices if index in place) for indices in lock.tiles.sets]
    return SceneLock(lock.query, tuple(lock.scenes[index] for index in kept), lock.tiles.with_sets(sets))
