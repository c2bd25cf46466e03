"""PyTorch datasets against the chips that were written, without TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

import segchips
from segchips.errors import InputError, RecordError
from segchips.records.conversion import convert
from segchips.records.file_names import shard_name
from support.chips import records_config, write_chip_folders

torch = pytest.importorskip("torch", reason="PyTorch is not installed; segchips needs it for Chips and ChipStream only")
COUNT = 17


def dataset(root, storage="array", compression=None, dtype="uint8", shape=(8, 9, 3)):
    arrays = write_chip_folders(root, [f"c{number}" for number in range(COUNT)], shape, dtype)
    settings = records_config(storage, 3, compression, {"train": 1.0, "val": 0.0})
    convert(root / "images", root / "labels", root / "out", "parcels", settings, 0, 1)
    return root / "out", arrays


def check(chips, arrays, dtype):
    names = [chip["identifier"].split(".")[0] for chip in chips]
    assert sorted(names) == sorted(arrays)
    for name, chip in zip(names, chips, strict=True):
        image, label = arrays[name]
        assert chip["image"].dtype == getattr(torch, dtype)
        np.testing.assert_array_equal(chip["image"].numpy(), image.transpose(2, 0, 1), strict=True)
        np.testing.assert_array_equal(chip["label"].numpy(), label[..., 0], strict=True)
    return names


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("storage", ["array", "encoded", "float", "png"])
def test_every_storage_comes_back(tmp_path, storage, compression):
    directory, arrays = dataset(tmp_path, storage, compression)
    chips = segchips.Chips(directory, "train")
    assert len(chips) == COUNT
    names = check([chips[position] for position in range(COUNT)], arrays, "uint8")
    assert check(list(segchips.ChipStream(directory, "train")), arrays, "uint8") == names
    assert len(segchips.Chips(directory, "val")) == 0


@pytest.mark.parametrize(
    "dtype", ["int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]
)
def test_every_dtype_comes_back(tmp_path, dtype):
    directory, arrays = dataset(tmp_path, dtype=dtype, shape=(5, 4, 13))
    check(list(segchips.Chips(directory, "train")), arrays, dtype)


@pytest.mark.parametrize("kind", ["Chips", "ChipStream"])
@pytest.mark.parametrize("workers", [0, 3])
def test_a_loader_gives_batches(tmp_path, kind, workers):
    directory, arrays = dataset(tmp_path, dtype="uint16")
    loader = torch.utils.data.DataLoader(getattr(segchips, kind)(directory, "train"), batch_size=4, num_workers=workers)
    chips = []
    for batch in loader:
        assert batch["image"].shape[1:] == (3, 8, 9)
        chips += [{key: value[number] for key, value in batch.items()} for number in range(len(batch["identifier"]))]
    check(chips, arrays, "uint16")


@pytest.mark.parametrize("world", [1, 2, 5, 40])
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_and_workers_share_without_gap_or_repeat(tmp_path, world, workers):
    directory, arrays = dataset(tmp_path)
    chips, sizes = [], []
    for rank in range(world):
        stream = segchips.ChipStream(directory, "train", rank, world)
        loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers if world < 5 else 0)
        share = list(loader)
        assert len(share) == len(stream)
        sizes.append(len(share))
        chips += share
    check(chips, arrays, "uint8")
    assert max(sizes) - min(sizes) <= 1


def test_ranks_are_those_of_the_process_group(tmp_path):
    directory, arrays = dataset(tmp_path)
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        check(list(segchips.ChipStream(directory, "train")), arrays, "uint8")
    finally:
        torch.distributed.destroy_process_group()


def test_damage_and_what_is_missing_are_named(tmp_path):
    directory, _ = dataset(tmp_path)
    with pytest.raises(InputError, match="no split 'test'; it has train, val"):
        segchips.Chips(directory, "test")
    path = directory / shard_name("parcels", "train", 0, 3)
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    with pytest.raises(RecordError, match=f"{path.name} is damaged in the record at byte 0"):
        list(segchips.ChipStream(directory, "train"))
    path.unlink()
    with pytest.raises(RecordError, match=f"{path.name} is missing"):
        segchips.Chips(directory, "train")
    with pytest.raises(InputError, match="dataset_info.json cannot be read"):
        segchips.Chips(tmp_path, "train")


def test_tensorflow_stays_out(tmp_path):
    directory, _ = dataset(tmp_path, "encoded")
    code = "import sys, segchips; list(segchips.Chips(sys.argv[1], 'train')); print('tensorflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize("kind", ["Chips", "ChipStream"])
def test_images_are_normalised(tmp_path, kind):
    directory, arrays = dataset(tmp_path, dtype="uint16", shape=(5, 4, 2))
    pixels = np.concatenate([image.reshape(-1, 2) for image, _ in arrays.values()]).astype(float)
    for chip in getattr(segchips, kind)(directory, "train", normalise=True):
        image, _ = arrays[chip["identifier"].split(".")[0]]
        assert chip["image"].dtype == torch.float32
        expected = (image - pixels.mean(axis=0)) / pixels.std(axis=0)
        np.testing.assert_allclose(chip["image"].numpy(), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("batch", [4, 5])
@pytest.mark.parametrize("kind", ["Chips", "ChipStream"])
def test_batches_are_those_that_pytorch_stacks(tmp_path, kind, batch, channels_last):
    directory, _ = dataset(tmp_path, dtype="uint16")
    chips = getattr(segchips, kind)(directory, "train", channels_last=channels_last)
    plain = torch.utils.data.DataLoader(chips, batch_size=batch)
    ours = torch.utils.data.DataLoader(chips, batch_size=batch, collate_fn=segchips.collate)
    for expected, found in zip(plain, ours, strict=True):
        assert expected["identifier"] == found["identifier"]
        for key in ("image", "label"):
            assert torch.equal(expected[key], found[key]) and found[key].dtype == expected[key].dtype
        wanted = torch.channels_last if channels_last else torch.contiguous_format
        assert found["image"].is_contiguous(memory_format=wanted)


def test_collate_takes_what_a_transform_makes(tmp_path):
    directory, _ = dataset(tmp_path)
    chips = segchips.Chips(directory, "train", transform=lambda chip: (chip["image"].float() / 255, chip["label"]))
    image, label = next(iter(torch.utils.data.DataLoader(chips, batch_size=3, collate_fn=segchips.collate)))
    assert image.shape == (3, 3, 8, 9) and label.shape == (3, 8, 9)
    rows = [{"a": torch.arange(6).reshape(2, 3)[number]} for number in range(2)]
    assert torch.equal(segchips.collate(rows[::-1])["a"], torch.tensor([[3, 4, 5], [0, 1, 2]]))
