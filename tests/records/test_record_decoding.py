"""Single records, read as they were written."""

import numpy as np
import pytest

import segchips
from segchips.errors import InputError, RecordError
from segchips.records.conversion import convert
from segchips.records.file_names import shard_name
from support.chips import records_config, write_chip_folders

TILE = "60:2:10.0:33:-58:8465"
NAMES = [*(f"c{number}" for number in range(9)), TILE.replace(":", "#")]


def dataset(root, storage="array", compression=None):
    arrays = write_chip_folders(root, NAMES)
    convert(root / "images", root / "labels", root / "out", "parcels", records_config(storage, 2, compression), 0, 1)
    return root / "out", arrays


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("storage", ["array", "float", "encoded", "png"])
def test_each_chip_is_read_alone(tmp_path, storage, compression):
    directory, arrays = dataset(tmp_path, storage, compression)
    for file, (image, label) in arrays.items():
        name = file.replace("#", ":")
        found = segchips.read(directory, name)
        np.testing.assert_array_equal(found["image"], image, strict=True)
        np.testing.assert_array_equal(found["label"], label[..., 0], strict=True)
        assert found["identifier"] == TILE if name == TILE else found["identifier"].startswith(f"{name}.tif|")


def test_what_cannot_be_read_is_named(tmp_path):
    directory, _ = dataset(tmp_path)
    for name in ("c10", "", "c1.tif", "tile"):
        with pytest.raises(InputError, match=f"no shard in .*out holds a chip named '{name}'"):
            segchips.read(directory, name)
    shard = directory / shard_name("parcels", "train", 0, 2)
    shard.unlink()
    with pytest.raises(RecordError, match=f"{shard.name} is missing"):
        segchips.read(directory, "c1")
