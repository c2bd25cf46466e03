"""Folders of unusual chips: good ones are read, bad ones are named, and memory stays free."""

import resource
import struct
import zlib

import numpy as np
import pytest
import rasterio
from PIL import Image

from segchips.errors import InputError
from segchips.records.chip_reader import MAX_CHIP_BYTES, read_chip, read_header
from segchips.records.conversion import convert
from segchips.records.record_decoding import read
from segchips.records.shard_index import read_index
from segchips.training.verification import verify
from support.chips import random_pixels, records_config, write_chip, write_chip_folders


def bomb(path, width, height):
    """A PNG of a few KiB that claims to be of this size."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(5_000_000), 9)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (40_000, 30_000)])
def test_a_chip_that_would_fill_the_memory_is_named_and_fills_none(tmp_path, size):
    bomb(tmp_path / "bomb.png", *size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for look in (read_header, read_chip):
        with pytest.raises(InputError, match="bomb.png"):
            look(tmp_path / "bomb.png")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MAX_CHIP_BYTES // 4


def test_a_tiff_that_would_fill_the_memory_is_named(tmp_path):
    array = np.zeros((1, 1, 1), "uint8")
    write_chip(tmp_path / "small.tif", array)
    with rasterio.open(
        tmp_path / "bomb.tif",
        "w",
        driver="GTiff",
        width=200_000,
        height=200_000,
        count=1,
        dtype="uint8",
        sparse_ok=True,
    ):
        pass
    for look in (read_header, read_chip):
        with pytest.raises(InputError, match="bomb.tif has 40000000000 bytes of pixels"):
            look(tmp_path / "bomb.tif")


def test_a_folder_of_oddities_keeps_its_good_chips(tmp_path):
    arrays = write_chip_folders(tmp_path, [f"c{number}" for number in range(12)])
    images, labels = tmp_path / "images", tmp_path / "labels"
    outside = tmp_path / "outside"
    outside.mkdir()
    write_chip(outside / "far.tif", random_pixels("uint8", (8, 9, 3), 77))
    (images / "c0.tif").unlink()
    (images / "c0.tif").symlink_to(outside / "far.tif")  # a chip that lies elsewhere is a chip
    for name, target in (
        ("c1", outside / "gone.tif"),
        ("c2", images / "c2.tif"),
        ("c3", outside),
        ("c4", "/etc/passwd"),
    ):
        (images / f"{name}.tif").unlink()
        (images / f"{name}.tif").symlink_to(target)
    bands = "".join(band(outside / "far.tif", number) for number in (1, 2, 3))
    (images / "c5.tif").write_text(f'<VRTDataset rasterXSize="9" rasterYSize="8">{bands}</VRTDataset>')
    bomb(images / "c6.tif", 60_000, 60_000)
    (images / "dangling.tif").symlink_to(outside / "nothing.tif")
    Image.fromarray(random_pixels("uint8", (8, 9, 4), 5), "CMYK").save(images / "cmyk.jpg")
    Image.fromarray(random_pixels("uint16", (8, 9, 1), 5)[..., 0]).save(images / "deep.png")
    palette = Image.fromarray(random_pixels("uint8", (8, 9, 1), 5, 3)[..., 0], "P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(images / "palette.png")
    write_chip(images / "elsewhere.tif", random_pixels("uint8", (8, 9, 3), 9), crs="EPSG:32601")
    for name in ("cmyk", "deep", "palette", "elsewhere"):
        write_chip(labels / f"{name}.tif", random_pixels("uint8", (8, 9, 1)))
    entries = {entry.tile: entry for entry in convert(images, labels, tmp_path / "out", "parcels", records_config(), 0)}
    rejected = {name: entry.reason for name, entry in entries.items() if entry.state == "rejected"}
    assert set(rejected) == {"c1", "c2", "c3", "c4", "c5", "c6", "dangling", "deep"}
    assert "No such file" in rejected["c1"] and "symbolic links" in rejected["c2"] and "VRT" in rejected["c5"]
    assert "root" not in rejected["c4"] and "uint16" in rejected["deep"]
    assert "bytes of pixels" in rejected["c6"]
    np.testing.assert_array_equal(
        read(tmp_path / "out", "palette")["image"], np.array(Image.open(images / "palette.png").convert("RGB"))
    )
    assert all("\n" not in reason for reason in rejected.values())
    assert verify(tmp_path / "out") == []
    with rasterio.open(images / "cmyk.jpg") as source:  # GDAL makes RGB of it
        np.testing.assert_array_equal(read(tmp_path / "out", "cmyk")["image"], source.read().transpose(1, 2, 0))
    for name in ("c7", "c8", "c9", "c10", "c11"):
        np.testing.assert_array_equal(read(tmp_path / "out", name)["image"], arrays[name][0])
    np.testing.assert_array_equal(read(tmp_path / "out", "c0")["image"], random_pixels("uint8", (8, 9, 3), 77))
    assert {entry.tile for entry in read_index(tmp_path / "out" / "rejected.csv")} == set(rejected)


def band(path, number):
    source = f'<SourceFilename relativeToVRT="0">{path}</SourceFilename><SourceBand>{number}</SourceBand>'
    return f'<VRTRasterBand dataType="Byte" band="{number}"><SimpleSource>{source}</SimpleSource></VRTRasterBand>'
