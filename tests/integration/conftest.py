"""Fixtures of the integration tests: both clients of the platform on loopback."""

import pytest

from loopback.server import Platform
from support.platform_client import Client


@pytest.fixture(params=["descarteslabs", "earthdaily.earthone"])
def client(request: pytest.FixtureRequest, platform: Platform) -> Client:
    return Client(request.param, platform)
