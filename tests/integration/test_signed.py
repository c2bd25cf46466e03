"""Addresses that a catalogue has signed: the scenes are read, and the signature is nowhere in what is written."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from conftest import Files
from segchips.chips.readers import open_reader
from segchips.config.imagery import ImageryConfig
from segchips.errors import SceneError
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.scenes.lock import read_locks, write_locks
from segchips.scenes.model import Scene
from segchips.scenes.pinning import SceneLock
from segchips.scenes.query import SceneQuery
from segchips.scenes.signing import strip_signature
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import make_asset, make_item, write_catalogue
from support.datasets import make_dataset, tile_at
from support.projects import Project
from support.rasters import OUTSIDE, nearest_by_loop, raster_outline, transform_over, write_raster

MARK = "MARKED5e3cret"
QUERIES = {
    "aws": f"X-Amz-Algorithm=AWS4&X-Amz-Credential={MARK}&X-Amz-Expires=60&X-Amz-Signature={MARK}",
    "azure": f"sv=2024-01-01&se=2099-01-01&sr=c&sp=rl&sig={MARK}",
    "google": f"GoogleAccessId={MARK}&Expires=99&Signature={MARK}",
    "cloudfront": f"Expires=99&Signature={MARK}&Key-Pair-Id={MARK}",
    "token": f"token={MARK}",
}


class Guarded(Files):
    """Rasters for those who give the signature of their query; an item's hrefs are signed when it is given."""

    query = QUERIES["aws"]
    given, refused, expiring = 0, 0, set[Path]()
    """Answers with signatures, refusals of files, and the folders of whose files one request is refused."""

    def do_GET(self):  # noqa: N802
        path = Path(self.translate_path(self.path))
        if path.suffix == ".json" and path.exists() and "assets" in (content := json.loads(path.read_text())):
            type(self).given += 1
            for each in content["assets"].values():
                each["href"] += f"?{self.query}"
            answer = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        elif path.suffix == ".tif" and not self._is_signed():
            type(self).refused += 1
            self.send_error(403)
        else:
            super().do_GET()

    def _is_signed(self) -> bool:
        folder = Path(self.translate_path(self.path)).parent
        if folder in self.expiring:
            self.expiring.discard(folder)
            return False
        return MARK in urlsplit(self.path).query


@pytest.fixture
def handlers() -> list[type[Guarded]]:
    """What serves the guarded folders."""
    return []


@pytest.fixture
def guarded(serve: Callable[..., str], handlers: list[type[Guarded]]) -> Callable[..., str]:
    """Serve a folder to those who have signatures of a kind; gives the address."""

    def start(folder: Path, kind: str = "aws", expire: bool = False) -> str:
        class Here(Guarded):
            query = QUERIES[kind]

            def __init__(self, *args: object) -> None:
                super().__init__(*args, directory=str(folder))

        Here.expiring = set(folder.glob("*/*")) if expire else set()
        handlers.append(Here)
        return serve(Here)

    return start


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize("more", ["", "versionId=7&"])
def test_signatures_are_removed_and_other_parameters_kept(kind: str, more: str) -> None:
    href = f"https://me:{MARK}@host.org/a%20b.tif?{more}{QUERIES[kind]}"
    assert strip_signature(href) == f"https://host.org/a%20b.tif{'?versionId=7' if more else ''}"


@pytest.mark.parametrize(
    "href", ["a.tif", "/data/a?b.tif", "s3://bucket/a.tif", "https://host.org/a.tif?band=%20x&se=1"]
)
def test_what_is_not_signed_stays_as_it_is(href: str) -> None:
    assert strip_signature(href) == href


def pinned(folder: Path, catalog: str, tile: Tile) -> tuple[ImageryConfig, Scene]:
    """The only scene of a catalogue, as a lock has it."""
    imagery = make_dataset(imagery={"catalog": catalog}).imagery.first
    scenes = tuple(StacCatalogue(imagery).search(footprints([tile])))
    lock = SceneLock.of(SceneQuery.of(imagery).text, scenes, {tile.key: tuple(range(len(scenes)))})
    write_locks(folder / "scenes.parquet", {"": lock})
    return imagery, read_locks(folder / "scenes.parquet")[""].scenes[0]


@pytest.mark.parametrize("place", ["static", "api"])
@pytest.mark.parametrize("kind", QUERIES)
def test_a_signed_url_is_pinned_unsigned_and_signed_again_to_read(
    tmp_path: Path, guarded: Callable[..., str], stac_api: Callable[..., str], place: str, kind: str
) -> None:
    tile, www = tile_at(), tmp_path / "www"
    data = np.random.default_rng(0).integers(1, 999, (24, 24)).astype("uint16")
    path = write_raster(www / "a.tif", data, transform_over(tile, data.shape, 10), tile.crs, nodata=0)
    files = guarded(www, kind)
    href = f"{files}/a.tif"
    content = make_item("a", "2017-07-01T10:00:00Z", {"B1": make_asset(href)}, raster_outline(path))
    if place == "static":
        write_catalogue(www, [content])
        catalog = f"{files}/catalog.json"
    else:
        signed = {"B1": make_asset(f"{href}?{QUERIES[kind]}")}
        about = json.loads(
            (write_catalogue(tmp_path / "about", [content]).parent / "s2" / "collection.json").read_text()
        )
        catalog = stac_api([{**content, "assets": signed}], [{**about, "links": []}])
    imagery, scene = pinned(tmp_path, catalog, tile)
    assert scene.band("B1").href == href
    assert MARK not in (tmp_path / "scenes.parquet").read_bytes().decode("latin-1")
    pixels, valid = open_reader(imagery).read(scene, make_dataset().imagery.first.products[0], tile)
    right = nearest_by_loop(path, tile)[0]
    for row, column in np.ndindex(valid.shape[1:]):
        assert valid[0, row, column] == (right[row][column] is not OUTSIDE)
        assert not valid[0, row, column] or pixels[0, row, column] == right[row][column]
    assert valid.any()


def test_a_url_that_the_catalogue_no_longer_lists_is_named(tmp_path: Path, guarded: Callable[..., str]) -> None:
    tile, www = tile_at(), tmp_path / "www"
    path = write_raster(www / "a.tif", np.ones((24, 24), "uint8"), transform_over(tile, (24, 24), 10), tile.crs)
    files = guarded(www)
    content = make_item("a", "2017-07-01T10:00:00Z", {"B1": make_asset(f"{files}/a.tif")}, raster_outline(path))
    write_catalogue(www, [content])
    imagery, scene = pinned(tmp_path, f"{files}/catalog.json", tile)
    write_catalogue(www, [{**content, "assets": {"B1": make_asset(f"{files}/b.tif")}}])
    with pytest.raises(SceneError, match="no longer lists this address for 'B1' of scene 'a'; run resolve") as caught:
        open_reader(imagery).read(scene, make_dataset().imagery.first.products[0], tile)
    assert MARK not in str(caught.value)


@pytest.mark.slow
def test_a_run_renews_signatures_that_expire_and_writes_none_anywhere(
    fresh: Project, sample_run: Project, guarded: Callable[..., str], handlers: list[type[Guarded]]
) -> None:
    """Not into locks, logs, tags, reports or what Snakemake keeps; also where a raster is not there."""
    folder = fresh.folder / "resources" / "sample"
    address = guarded(folder, expire=True)
    fresh.change("defaults.imagery.catalog", f"{address}/catalog.json")
    result = fresh.run()
    assert result.returncode == 0, result.stdout
    assert handlers[0].refused > 5
    right = sample_run.chip_contents("results/sample/images/*")
    assert [path for path, chip in fresh.chip_contents("results/sample/images/*").items() if chip != right[path]] == []
    for path in (*folder.glob("sample-l2a/*/B02.tif"), *fresh.folder.glob("results/sample/images/*")):
        path.unlink()
    failed = fresh.run()
    assert failed.returncode == 1 and "B02.tif: cannot be read" in " ".join(failed.stdout.split()), failed.stdout
    for output in (result.stdout, failed.stdout):
        assert MARK not in output
    for path in (path for path in fresh.folder.rglob("*") if path.is_file()):
        assert MARK.encode() not in path.read_bytes(), path
