"""Fixtures of the scene tests: the clients of both platforms."""

import importlib

import pytest

from segchips.scenes.platform_service import services
from support.platform_scenes import PACKAGES


@pytest.fixture(params=PACKAGES)
def source(request, platform, monkeypatch):
    """One of the clients, set up for the platform as a user's environment would, as if the process were new."""
    monkeypatch.chdir(platform.home.parent)
    for name, value in platform.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CLIENT_ID", raising=False)
    settings = importlib.import_module(f"{PACKAGES[request.param]}.config").Settings
    monkeypatch.setattr(settings, "_settings", None)
    services.clear()
    yield request.param
    services.clear()
