"""A platform's client connected to the platform on loopback."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from loopback.server import Platform, make_token

PRODUCT = "sample-l2a"
TILE = "60:2:10.0:33:-333:8904"
SCENE = f"{PRODUCT}:sample_20230215T101129_r022"
REPOSITORY = Path(__file__).parents[2]


class Client:
    """One of the two clients, with connections of its own to a platform."""

    def __init__(self, package: str, platform: Platform, token: str | None = None) -> None:
        self.package = package
        self.catalog = importlib.import_module(f"{package}.catalog")
        self.errors = importlib.import_module(f"{package}.exceptions")
        self.auth = importlib.import_module(f"{package}.auth")
        login = self.auth.Auth(jwt_token=token or make_token(), token_info_path=None)
        raster = importlib.import_module(f"{package}.core.client.services.raster")
        self.connection = self.catalog.CatalogClient(url=f"{platform.url}/catalog", auth=login)
        self.raster = raster.Raster(url=f"{platform.url}/raster", auth=login)

    def product(self, name: str = PRODUCT) -> Any:
        return self.catalog.Product.get(name, client=self.connection)

    def search(self, product: str = PRODUCT) -> Any:
        return self.catalog.Image.search(client=self.connection).filter(self.catalog.properties.product_id == product)

    def pixels(self, ids: list[str], bands: list[str], tile: str = TILE, **more: Any) -> np.ma.MaskedArray:
        more = {"dltile": tile, "order": "gdal", "mask_nodata": True, **more}
        return self.raster.ndarray(ids, bands=bands, **more)[0]
