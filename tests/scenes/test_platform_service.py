"""platform_service.py: errors between a real client and the platform on loopback, and how long they may take."""

import importlib
import math
import threading
import time
import warnings

import numpy as np
import pytest

from loopback.faults import TRANSIENT, Fault
from loopback.server import make_token
from segchips.chips.platform_reader import PlatformSceneReader
from segchips.errors import CredentialsError, InputError, ServiceError
from segchips.scenes.platform_service import get_service
from support.platform_scenes import (
    BOTH,
    PACKAGES,
    TILES,
    plan_images,
    platform_dataset,
)

PATIENCE = 30


@pytest.fixture
def read(source, platform, tmp_path):
    """Read the newest scene of a tile; the platform's log holds what that took."""
    dataset = platform_dataset(source, patience=PATIENCE)
    scene = plan_images(dataset, tmp_path).scenes(TILES[1].key, "sample-l2a")[0]
    platform.log.clear()

    def go(patience=PATIENCE, tile=TILES[1]):
        config = platform_dataset(source, patience=patience).imagery.first
        return PlatformSceneReader(config).read(scene, config.products[0], tile)

    return go


def asked(platform):
    return [request.fault for request in platform.log.of("raster")]


@pytest.mark.parametrize("name", [name for name in TRANSIENT if name not in ("header", "body", "slow")])
def test_transient_faults_are_retried_and_never_become_pixels(read, platform, name):
    pixels, valid = read()
    platform.log.clear()
    platform.faults.add(name, "raster")
    again, still = read()
    assert asked(platform) == [name, None]
    np.testing.assert_array_equal(again, pixels)
    np.testing.assert_array_equal(still, valid)


@pytest.mark.parametrize(
    "framing", ["length", *(pytest.param(name, marks=pytest.mark.slow) for name in ("close", "chunked"))]
)
def test_a_truncated_response_is_never_accepted(read, platform, framing):
    pixels, valid = read()
    for keep in (0.0, 0.001, 0.004, 0.02, 0.3, 0.66, 0.67, 0.9, 0.999):
        platform.faults.add(Fault("truncated", framing=framing, keep=keep), "raster")
        again, still = read()
        assert (again == pixels).all() and (still == valid).all(), keep
    assert len(asked(platform)) == 1 + 2 * 9


@pytest.mark.parametrize("name", ["header", "body"])
def test_a_stall_takes_a_third_of_the_patience(read, platform, name):
    pixels, _ = read()
    platform.faults.add(name, "raster")
    start = time.monotonic()
    again, _ = read(patience=3)
    assert (again == pixels).all() and 1 <= time.monotonic() - start < 3


def test_a_short_retry_after_is_respected(read, platform):
    read()
    platform.faults.add("429 retry-after", "raster", times=2)
    start = time.monotonic()
    read()
    assert 2 <= time.monotonic() - start < 20


def test_status_403_with_retry_after_is_retried(read, platform):
    platform.faults.add(Fault("status", 403, retry_after="1"), "raster")
    read()
    assert asked(platform) == ["403 retry-after", None]


@pytest.mark.parametrize("after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_retry_after_beyond_the_patience_fails_at_once(read, platform, after):
    read()
    platform.faults.add(Fault("status", 429, retry_after=after), "raster")
    start = time.monotonic()
    with pytest.raises(ServiceError, match=r"told to wait \d+ s, imagery.patience is 30"):
        read()
    assert time.monotonic() - start < 5 and asked(platform) == [None, "429 retry-after"]


@pytest.mark.parametrize("fault", [Fault("status", 500), Fault("reset"), Fault("header", seconds=600)])
def test_after_one_timeout_further_requests_fail_fast(read, platform, fault):
    read()
    platform.faults.add(fault, "raster", times=math.inf)
    start = time.monotonic()
    with pytest.raises(ServiceError, match="reading scene 'sample_.*imagery.patience is 3.; run again later"):
        read(patience=3)
    assert time.monotonic() - start < 4
    platform.log.clear()
    with pytest.raises(ServiceError):
        read(patience=3, tile=TILES[0])
    assert len(asked(platform)) == 1
    platform.faults.clear()
    read(patience=3)
    platform.faults.add("500", "raster")
    read(patience=3)


@pytest.mark.parametrize(("status", "words"), [(404, "not there .404"), (400, "refused .400"), (409, "refused .409")])
def test_permanent_errors_are_not_retried(read, platform, status, words):
    platform.faults.add(Fault("status", status), "raster", times=math.inf)
    with pytest.raises(ServiceError, match=words):
        read()
    assert len(asked(platform)) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_without_permission_no_further_request_is_sent(read, platform, source, status):
    platform.faults.add(Fault("status", status), "raster")
    login = {"descarteslabs": "descarteslabs auth login", "earthone": "earthone auth login"}[source]
    for _ in range(3):
        with pytest.raises(CredentialsError, match=login):
            read()
    assert asked(platform) == [str(status)]


@pytest.mark.parametrize("token", [None, "h.e30.s", "nonsense", "expired"])
def test_without_a_login_no_request_is_sent(source, platform, monkeypatch, token):
    name = {"descarteslabs": "DESCARTESLABS_TOKEN", "earthone": "EARTHONE_TOKEN"}[source]
    monkeypatch.delenv(name)
    monkeypatch.setenv(f"{name}_INFO_PATH", "/nowhere/token_info.json")
    if token:
        monkeypatch.setenv(name, make_token(-60) if token == "expired" else token)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CredentialsError, match=f"nobody is logged in .* set {name} to a valid token"):
            get_service(source, 8).call("anything", PATIENCE, lambda: 1)
    assert len(platform.log) == 0


def test_a_refused_secret_is_a_login_error(source, platform, monkeypatch):
    prefix = {"descarteslabs": "DESCARTESLABS", "earthone": "EARTHONE"}[source]
    monkeypatch.delenv(f"{prefix}_TOKEN")
    monkeypatch.setenv(f"{prefix}_NO_JWT_CACHE", "true")
    monkeypatch.setenv(f"{prefix}_CLIENT_ID", "someone")
    monkeypatch.setenv(f"{prefix}_CLIENT_SECRET", "wrong-secret")
    with pytest.raises(CredentialsError) as caught:
        get_service(source, 8).call("anything", PATIENCE, lambda: 1)
    assert "wrong-secret" not in str(caught.value) and len(platform.log.of("iam")) == 1


def test_secrets_and_queries_are_in_no_message(source, platform):
    here = get_service(source, 8)
    token = here.auth.token

    def fail():
        raise OSError(f"https://e.com/x?key={token} {token} went\nwrong")

    with pytest.raises(ServiceError) as caught:
        here.call("anything", 1, fail)
    assert token not in str(caught.value) and "key=" not in str(caught.value) and "\n" not in str(caught.value)
    assert "OSError: https://e.com/x *** went wrong" in str(caught.value)


def test_programming_errors_are_not_retried(source, platform):
    with pytest.raises(TypeError):
        get_service(source, 8).call("anything", PATIENCE, lambda: len(5))


def test_concurrent_requests_stay_within_the_configs_limit(source, platform, tmp_path):
    from dataclasses import replace

    config = replace(platform_dataset(source).imagery.first, requests=3)
    scene = plan_images(platform_dataset(source), tmp_path).scenes(TILES[1].key, "sample-l2a")[0]
    platform.latency = 0.3
    platform.log.clear()
    product = config.products[0]
    threads = [
        threading.Thread(target=PlatformSceneReader(config).read, args=(scene, product, tile)) for tile in TILES * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platform.log.of("raster")) == 12 and platform.log.max_concurrent("raster") == 3


def test_a_client_that_cannot_be_set_up_is_named(source, platform, monkeypatch):
    prefix = {"descarteslabs": "DESCARTESLABS", "earthone": "EARTHONE"}[source]
    monkeypatch.setenv(f"{prefix}_ENV", "nowhere")
    with pytest.raises(InputError, match="its client cannot be used .*nowhere"):
        get_service(source, 8)


def test_the_clients_own_classes_stay_unchanged(source, platform):
    get_service(source, 8)
    package = PACKAGES[source]
    raster = importlib.import_module(f"{package}.core.client.services.raster").Raster
    plain = importlib.import_module(f"{package}.core.client.services.service.service").Session
    assert raster.get_default_session_class() is plain and BOTH[0]["id"] == "sample-l2a"
