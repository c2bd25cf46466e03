"""resolve.py: pinned tiles keep their scenes, new tiles are added, and only a refresh or another query changes them."""

import pytest
import shapely

from segchips.errors import InputError
from segchips.scenes.lock import read_locks
from segchips.scenes.resolve import resolve
from support.assignments import write_dataset_manifest
from support.catalogues import make_asset, make_item, write_catalogue
from support.datasets import make_dataset, tile_at, tile_outline

TILES = [tile_at(east=column) for column in range(4)]


def covering(name, tiles, when="2017-06-01T10:00:00Z", cloud=5.0, href=None):
    """An item whose footprint meets exactly these tiles' middles."""
    area = shapely.union_all([tile_outline(tile).centroid.buffer(1e-5) for tile in tiles]).convex_hull
    return make_item(
        name, when, {"B1": make_asset(href or f"https://e.com/{name}.tif")}, shapely.geometry.mapping(area), cloud=cloud
    )


class Place:
    """A folder with a catalogue, a manifest and a lock."""

    def __init__(self, folder):
        self.folder, self.lock = folder, folder / "scenes.parquet"

    def resolve(self, items=None, tiles=TILES[:2], refresh=False, **imagery):
        """Run the step; gives what it says. Without items the catalogue is gone."""
        (self.folder / "catalog.json").unlink(missing_ok=True)
        if items is not None:
            write_catalogue(self.folder, items)
        dataset = make_dataset(imagery={"catalog": str(self.folder / "catalog.json"), **imagery})
        write_dataset_manifest(self.folder / "tiles.parquet", tiles, dataset)
        return list(resolve(dataset, self.folder / "tiles.parquet", self.lock, refresh))

    @property
    def scenes(self):
        """The ids of each tile's scenes."""
        lock = read_locks(self.lock)[""]
        return {key: [lock.scenes[index].id for index in indices] for key, indices in lock.tiles.items()}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


KEYS = [tile.key for tile in TILES]
FIRST = [covering("a", TILES[:1]), covering("b", TILES[:2], "2017-07-01T10:00:00Z")]
LATER = [covering("new", TILES, "2017-05-01T10:00:00Z")]


def test_the_first_time_every_tile_gets_what_it_meets(place):
    assert place.resolve(FIRST, TILES[:3]) == ["2 scenes for 2 of 3 tiles"]
    assert place.scenes == {KEYS[0]: ["a", "b"], KEYS[1]: ["b"], KEYS[2]: []}


def test_an_excluded_id_that_no_scene_has_is_named(place):
    said = place.resolve(FIRST, exclude=["a", "A"])
    assert said[1:] == [
        "scene 'a' of product 's2' is left out: imagery.exclude names it",
        "imagery.exclude: 'A' is not among the 2 scenes that the search found; correct or remove it",
    ]


def test_pinned_tiles_keep_their_scenes_when_the_catalogue_changes(place):
    place.resolve(FIRST, TILES[:3])
    before = place.lock.read_bytes()
    moved = covering("b", TILES[:2], "2017-07-01T10:00:00Z", href="https://e.com/moved.tif")
    for items in (FIRST + LATER, FIRST[1:], [FIRST[0], moved], None):
        said = place.resolve(items, TILES[:3])
        assert said[-1] == "0 of 3 tiles have other scenes than before; 0 tiles are new, 0 gone"
        assert place.lock.read_bytes() == before


def test_what_is_pinned_needs_no_catalogue(place):
    place.resolve(FIRST)
    assert place.resolve(None) and place.resolve(None, TILES[:1])
    assert place.scenes == {KEYS[0]: ["a", "b"]}


def test_a_refresh_takes_the_current_scenes_and_describes_the_changes(place):
    place.resolve(FIRST)
    moved = covering("b", TILES[:2], "2017-07-01T10:00:00Z", href="https://e.com/moved.tif")
    assert place.resolve([moved, *LATER], refresh=True) == [
        "2 scenes for 2 of 2 tiles",
        "+ s2/new",
        "- s2/a",
        "~ s2/b (assets changed)",
        "2 of 2 tiles have other scenes than before; 0 tiles are new, 0 gone",
    ]
    assert place.scenes == {KEYS[0]: ["new", "b"], KEYS[1]: ["new", "b"]}


def test_a_larger_aoi_only_adds(place):
    place.resolve(FIRST)
    said = place.resolve(FIRST + LATER, TILES)
    assert place.scenes == {KEYS[0]: ["a", "b"], KEYS[1]: ["b"], KEYS[2]: ["new"], KEYS[3]: ["new"]}
    assert said[1:] == ["+ s2/new", "0 of 4 tiles have other scenes than before; 2 tiles are new, 0 gone"]


def test_a_smaller_aoi_only_takes_away(place):
    place.resolve(FIRST)
    said = place.resolve(FIRST + LATER, TILES[1:2])
    assert place.scenes == {KEYS[1]: ["b"]}
    assert said[1:] == ["- s2/a", "0 of 1 tiles have other scenes than before; 0 tiles are new, 1 gone"]


def test_a_new_tile_takes_a_scene_as_its_neighbours_have_it(place):
    place.resolve(FIRST)
    moved = covering("b", TILES, "2017-07-01T10:00:00Z", href="https://e.com/moved.tif")
    place.resolve([moved], TILES[:3])
    lock = read_locks(place.lock)[""]
    assert place.scenes[KEYS[2]] == ["b"]
    assert {scene.find_band("B1").href for scene in lock.scenes if scene.id == "b"} == {"https://e.com/b.tif"}


@pytest.mark.parametrize(
    "question",
    [{"max_cloud": 0.9}, {"end": "2017-12-30"}, {"start": "2017-01-02"}],
)
def test_another_query_searches_again(place, question):
    place.resolve(FIRST)
    place.resolve(FIRST + LATER, **question)
    assert place.scenes == {KEYS[0]: ["new", "a", "b"], KEYS[1]: ["new", "b"]}


@pytest.mark.parametrize("other", [{"composite": "median"}, {"reference_date": "2017-01-01"}, {"min_valid": 0.3}])
def test_what_the_catalogue_is_not_asked_changes_no_pin(place, other):
    place.resolve(FIRST)
    before = place.lock.read_bytes()
    place.resolve(FIRST + LATER, **other)
    assert place.lock.read_bytes() == before


@pytest.mark.parametrize(
    ("items", "imagery", "words"),
    [
        (
            [covering("far", [tile_at(east=790)])],
            {},
            "no scene of s2 from 2017-01-01 to 2017-12-31 meets any of the 2 tiles",
        ),
        (FIRST, {"start": "2017-08-01"}, "no scene of s2 from 2017-08-01 to 2017-12-31 meets"),
        (FIRST, {"max_cloud": 0.05}, "with a cloud fraction below 0.05 meets any of the 2 tiles"),
    ],
)
def test_no_scene_at_all_is_an_error_and_leaves_the_old_lock(place, items, imagery, words):
    with pytest.raises(InputError, match=words) as caught:
        place.resolve(items, **imagery)
    assert str(caught.value).startswith("datasets.d: ") and not place.lock.exists()
    place.resolve(FIRST)
    before = place.lock.read_bytes()
    with pytest.raises(InputError):
        place.resolve(items, refresh=True, **imagery)
    assert place.lock.read_bytes() == before


def test_a_damaged_lock_is_an_error(place):
    place.resolve(FIRST)
    place.lock.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"scenes\.parquet: not a scene lock"):
        place.resolve(FIRST)


def test_the_lock_is_the_same_wherever_the_catalogue_puts_its_items(place, tmp_path_factory):
    other = Place(tmp_path_factory.mktemp("other"))
    place.resolve(FIRST + LATER)
    other.resolve(LATER + FIRST[::-1])
    with_catalog = place.lock.read_bytes()
    # the query names the catalogue's place; all else must be equal
    assert read_locks(other.lock)[""].scenes == read_locks(place.lock)[""].scenes
    assert read_locks(other.lock)[""].tiles == read_locks(place.lock)[""].tiles
    place.resolve(LATER[::-1] + FIRST[::-1], refresh=True)
    assert place.lock.read_bytes() == with_catalog
