"""What the rest of the library relies on: positional construction, and a stable text form for rerun digests."""

import os
import subprocess
import sys

import pytest
import yaml

from segchips.config import TFRecordsConfig
from segchips.config.loading import load_config
from segchips.errors import ConfigError
from support.projects import REPOSITORY

SHIPPED = REPOSITORY / "config" / "config.yaml"
SHOW = """
import sys, yaml
from segchips.config.loading import load_config
print(load_config(yaml.safe_load(open(sys.argv[1]))).datasets)
"""


def shipped(**imagery):
    raw = yaml.safe_load(SHIPPED.read_text())
    raw["datasets"]["sample"] = {"imagery": imagery}
    return raw


def test_records_can_be_configured_by_position_without_checks():
    config = TFRecordsConfig("array", 0, None, {"train": 1.0})
    assert (config.shards, config.quality) == (0, 95)
    assert config == TFRecordsConfig(storage="array", shards=0, compression=None, splits={"train": 1.0})


def test_the_text_form_is_the_same_in_every_process():
    shown = {
        subprocess.run(
            [sys.executable, "-c", SHOW, SHIPPED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(shown) == 1 and "block=4800.0" in shown.pop()


def test_the_text_form_leaves_out_what_changes_no_result():
    plain = load_config(shipped())
    other = load_config(shipped(on_failure="exclude", patience=10) | {"requests": 3})
    assert repr(plain.datasets) == repr(other.datasets)
    assert other.datasets["sample"].imagery.first.requests == 3


def test_numbers_keep_their_form():
    raw = shipped()
    raw["datasets"]["sample"]["tfrecords"] = {"splits": {"whole": 1}}
    raw["datasets"]["sample"]["select"] = {"empty": 1, "classes": {"water": {"max": 1}}}
    dataset = load_config(raw).datasets["sample"]
    assert repr(dataset.tfrecords.splits) == "{'whole': 1}" and repr(dataset.select.empty) == "1"
    assert dataset.select.class_ranges.keys() == {1}


@pytest.mark.parametrize("block", ["imagery.requests", "splitting.shares", "name"])
def test_what_other_blocks_give_is_refused(block):
    raw = shipped()
    *path, key = block.split(".")
    place = raw["datasets"]["sample"]
    for name in path:
        place = place.setdefault(name, {})
    place[key] = {"whole": 1}
    with pytest.raises(ConfigError, match=rf"datasets\.sample\.{block}: unknown key; "):
        load_config(raw)


@pytest.mark.parametrize("value", [0, -3])
def test_an_alternative_of_a_shared_key_is_described_as_it_is_written(value):
    raw = shipped()
    raw["defaults"]["labels"]["buffer"] = value
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"datasets.sample.labels.buffer: {value} is not usable; it must be above 0")


@pytest.mark.parametrize("value", [0, -1, 1.5, "many", True, None])
def test_a_wrong_value_of_a_key_with_alternatives_has_one_line(value):
    with pytest.raises(ConfigError) as caught:
        load_config(shipped() | {"tiles_per_job": value})
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"tiles_per_job: {value!r} is not usable; ")
