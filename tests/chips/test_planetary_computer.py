"""URLs that the Planetary Computer signs, against a token service on loopback."""

import http.server
import json
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import planetary_computer.sas
import planetary_computer.settings
import pytest

from segchips.chips import readers
from segchips.chips.images import make_image
from segchips.errors import SceneError
from segchips.remote.remote_files import own_fetcher
from support.catalogues import make_asset, make_item
from support.rasters import raster_outline, transform_over, write_raster
from support.scene_series import TILE, Chip, SceneSeries, noise

# Signed addresses.

SECRET = "c2VjcmV0"
LIFE: dict[int, str] = {}
"""When tokens end, by the number of the request that gave them; blob storage refuses these tokens."""


@pytest.fixture
def azure(serve, monkeypatch, tmp_path):
    """A token service like the Planetary Computer's, and a proxy that plays blob storage; gives what they got asked."""
    asked = []

    class Tokens(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            asked.append(self.path)
            token = f"se=2099&sig={SECRET}{len(asked)}"  # each is another one
            content = json.dumps({"msft:expiry": LIFE.get(len(asked), "2099-01-01T00:00:00Z"), "token": token}).encode()
            self.send_response(200 if "/shut" not in self.path else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    class Blobs(Tokens):
        def do_HEAD(self):  # noqa: N802
            self.do_GET()

        def do_GET(self):  # noqa: N802
            asked.append(self.path)
            address = urllib.parse.urlparse(self.path)
            path = tmp_path / "blobs" / Path(address.path).name
            is_valid = SECRET in address.query and not any(address.query.endswith(f"{SECRET}{old}") for old in LIFE)
            content = path.read_bytes() if path.exists() and is_valid else b""
            first, last = 0, len(content) - 1
            if "Range" in self.headers:
                ends = self.headers["Range"].removeprefix("bytes=").split("-")
                first, last = int(ends[0]), min(last, int(ends[1] or last))
            self.send_response((206 if "Range" in self.headers else 200) if content else 403)
            self.send_header("Content-Length", str(last - first + 1 if content else 0))
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[first : last + 1])

    monkeypatch.setenv("PC_SDK_SAS_URL", f"{serve(Tokens)}/token")
    monkeypatch.setenv("GDAL_HTTP_PROXY", serve(Blobs).removeprefix("http://"))
    planetary_computer.settings.Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()
    readers.shared_raster_reader.cache_clear()
    own_fetcher.cache_clear()
    yield asked
    LIFE.clear()
    planetary_computer.settings.Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()
    readers.shared_raster_reader.cache_clear()
    own_fetcher.cache_clear()


def signed_plan(folder, blob, container="good"):
    href = f"http://account.blob.core.windows.net/{container}/{blob}"
    write_raster(folder / "blobs" / "a.tif", noise(1), transform_over(TILE, (24, 24), 10), TILE.crs, nodata=0)
    series = SceneSeries(folder)
    series.items.append(
        make_item("a", "2017-07-01T10:00:00Z", {"B1": make_asset(href)}, raster_outline(folder / "blobs" / "a.tif"))
    )
    return series.plan(sign="planetary_computer")


def test_addresses_are_signed_when_read_and_nowhere_else(tmp_path, azure):
    plan = signed_plan(tmp_path, "a.tif")
    make_image(plan, TILE, tmp_path / "chip.tif")
    np.testing.assert_array_equal(Chip(tmp_path / "chip.tif").pixels[0], noise(1)[4:20, 4:20])
    assert azure[0] == "/token/account/good" and any(f"a.tif?se=2099&sig={SECRET}" in path for path in azure[1:])
    for path in ("scenes.parquet", "chip.tif"):
        assert SECRET.encode() not in (tmp_path / path).read_bytes()
    assert SECRET not in "".join(scene.pin + repr(scene) for scene in plan.lock.scenes)


def test_no_message_shows_the_signature(tmp_path, azure, capfd):
    with pytest.raises(
        SceneError, match=r"http://account\.blob\.core\.windows\.net/good/none\.tif: cannot be read"
    ) as caught:
        make_image(signed_plan(tmp_path, "none.tif"), TILE, tmp_path / "chip.tif")
    assert azure and SECRET not in str(caught.value) and "\n" not in str(caught.value)
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err


def test_a_token_service_that_refuses_gives_one_message(tmp_path, azure):
    with pytest.raises(
        SceneError, match=r"blob\.core\.windows\.net/shut/a\.tif: the Planetary Computer gave no signature"
    ) as caught:
        make_image(signed_plan(tmp_path, "a.tif", "shut"), TILE, tmp_path / "chip.tif")
    assert "\n" not in str(caught.value)


def test_addresses_elsewhere_are_not_signed(tmp_path, azure):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1)}, nodata=0)
    assert series.chip(sign="planetary_computer").valid == 1 and azure == []


def test_a_token_that_expires_before_it_is_used_is_renewed(tmp_path, azure):
    plan = signed_plan(tmp_path, "a.tif")
    LIFE[1] = datetime.now(UTC).isoformat()
    make_image(plan, TILE, tmp_path / "chip.tif")
    np.testing.assert_array_equal(Chip(tmp_path / "chip.tif").pixels[0], noise(1)[4:20, 4:20])
    tokens = [path for path in azure if path.startswith("/token")]
    assert len(tokens) == 2 and any(path.endswith(f"{SECRET}1") for path in azure)
