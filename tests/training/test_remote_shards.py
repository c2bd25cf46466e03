"""Shards in an object store, read by ranges."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segchips
from segchips.errors import InputError, RecordError
from segchips.records.conversion import convert
from support.chips import records_config, write_chip_folders
from support.s3_server import BUCKET, s3_server

ADDRESS = f"s3://{BUCKET}/data/tfrecords"
NAMES = [f"c{number}" for number in range(7)]


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """Shards of 7 chips in a bucket, and their pixels."""
    import boto3

    root = tmp_path_factory.mktemp("remote")
    arrays = write_chip_folders(root, NAMES)
    settings = records_config("array", 2, "GZIP", {"train": 1.0})
    convert(root / "images", root / "labels", root / "out", "parcels", settings, 0, 1)
    segchips.statistics(root / "out")
    with pytest.MonkeyPatch.context() as patch, s3_server() as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1")
        for path in (root / "out").iterdir():
            client.put_object(Bucket=BUCKET, Key=f"data/tfrecords/{path.name}", Body=path.read_bytes())
        yield arrays, client


def test_single_chips_statistics_and_verification(remote):
    arrays, _ = remote
    assert sum(segchips.read_info(ADDRESS).splits["train"]) == 7
    for name in NAMES:
        np.testing.assert_array_equal(segchips.read(ADDRESS, name)["image"], arrays[name][0])
    assert segchips.statistics(ADDRESS)["train"].chips == 7
    assert segchips.verify(ADDRESS) == []


def test_tensorflow_reads_every_chip_once_in_any_order(remote):
    arrays, _ = remote
    for shuffle in (False, True):
        read = list(segchips.load(ADDRESS, "train", shuffle=shuffle, seed=1).as_numpy_iterator())
        assert sorted(chip["identifier"].decode().partition(".")[0] for chip in read) == NAMES
        for chip in read:
            np.testing.assert_array_equal(chip["image"], arrays[chip["identifier"].decode().partition(".")[0]][0])


def _read_in_fork(queue):
    queue.put(segchips.read(ADDRESS, "c3")["image"].tolist())


def test_a_forked_process_reads_too(remote):
    arrays, _ = remote
    segchips.read_info(ADDRESS)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=_read_in_fork, args=(queue,))
    process.start()
    assert queue.get() == arrays["c3"][0].tolist()
    process.join()


def test_missing_and_damaged_objects_are_named(remote):
    _, client = remote
    with pytest.raises(InputError, match="s3://bucket/nowhere/dataset_info.json cannot be read"):
        segchips.read_info(f"s3://{BUCKET}/nowhere")
    key = f"data/tfrecords/{segchips.read_info(ADDRESS).shards('train')[0]}"
    whole = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    try:
        client.put_object(Bucket=BUCKET, Key=key, Body=whole[:-40])
        assert any(key.rpartition("/")[2] in fault for fault in segchips.verify(ADDRESS))
        client.delete_object(Bucket=BUCKET, Key=key)
        with pytest.raises(RecordError, match="is missing of the 2 shards"):
            segchips.load(ADDRESS, "train")
    finally:
        client.put_object(Bucket=BUCKET, Key=key, Body=whole)


def test_local_shards_need_no_obstore():
    code = "import sys, segchips; segchips.read_info; assert 'obstore' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
