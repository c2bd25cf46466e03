"""The PyTorch stream: orders, shares of ranks and workers, and resumption, each chip exactly once."""

import pytest

from segchips.errors import InputError
from segchips.records.conversion import convert
from support.chips import records_config, write_chip_folders

torch = pytest.importorskip("torch", reason="PyTorch is not installed; segchips needs it for Chips and ChipStream only")
COUNT = 23


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    root = tmp_path_factory.mktemp("stream")
    write_chip_folders(root, [f"c{number}" for number in range(COUNT)], (4, 5, 3), "uint16")
    convert(root / "images", root / "labels", root / "out", "parcels", records_config("array", 3, None, {"train": 1.0}))
    return root / "out"


def stream(shards, **options):
    from segchips import ChipStream

    return ChipStream(shards, "train", **options)


def loader(chips, workers=0, batch=3):
    from segchips import collate

    return torch.utils.data.DataLoader(chips, batch_size=batch, num_workers=workers, collate_fn=collate)


def names(batches):
    return [name.partition(".")[0] for batch in batches for name in batch["identifier"]]


def test_shuffling_follows_from_seed_and_epoch(shards):
    chips = stream(shards, shuffle=True, seed=5)
    first, again = (list(names(loader(chips))) for _ in range(2))
    chips.set_epoch(1)
    second = names(loader(chips))
    assert first == again and first != second and sorted(first) == sorted(second)
    assert sorted(first) == sorted(f"c{number}" for number in range(COUNT))
    assert names(loader(stream(shards, shuffle=True, seed=6))) != first


@pytest.mark.parametrize(("uneven", "each"), [("keep", None), ("pad", 6), ("drop", 5)])
def test_four_ranks_read_equal_shares(shards, uneven, each):
    ranks = [stream(shards, rank=rank, world=4, shuffle=True, uneven=uneven) for rank in range(4)]
    read = [names(loader(chips)) for chips in ranks]
    assert [len(part) for part in read] == [len(chips) for chips in ranks]
    everything = [name for part in read for name in part]
    if each is None:
        assert sorted(everything) == sorted(f"c{number}" for number in range(COUNT))
    else:
        assert {len(part) for part in read} == {each}
        assert len(set(everything)) == min(COUNT, 4 * each)


@pytest.mark.parametrize("given", [0, 1, 2, 4, 7])
def test_resumed_without_workers_each_chip_comes_once(shards, given):
    chips = stream(shards, shuffle=True, seed=3)
    chips.set_epoch(2)
    before = []
    for batch in loader(chips):
        if len(before) == given:
            break
        before.append(batch)
    state = chips.state_dict() | {"chips": min(COUNT, 3 * given)}
    again = stream(shards, shuffle=True, seed=3)
    again.load_state_dict(state)
    assert sorted(names(before) + names(loader(again))) == sorted(f"c{number}" for number in range(COUNT))


def test_the_state_of_a_stream_counts_its_chips(shards):
    chips = stream(shards)
    iterator = iter(chips)
    taken = [next(iterator)["identifier"] for _ in range(5)]
    again = stream(shards)
    again.load_state_dict(chips.state_dict())
    assert len({*taken, *(chip["identifier"] for chip in again)}) == COUNT
    with pytest.raises(InputError, match="seed 0, this one has 1"):
        stream(shards, seed=1).load_state_dict(chips.state_dict())
    with pytest.raises(InputError, match="world 1, this one has 2"):
        stream(shards, rank=0, world=2).load_state_dict(chips.state_dict())


@pytest.mark.parametrize("given", [1, 3])
def test_resumed_with_workers_each_chip_comes_once(shards, given):
    chips = stream(shards, shuffle=True)
    iterator = iter(loader(chips, workers=2))
    before = [next(iterator) for _ in range(given)]
    again = stream(shards, shuffle=True)
    again.load_state_dict(chips.state_dict(batches=given, batch_size=3))
    second = iter(loader(again, workers=2))
    between = [next(second) for _ in range(2)]
    last = stream(shards, shuffle=True)
    last.load_state_dict(again.state_dict(batches=2, batch_size=3))
    read = names(before) + names(between) + names(loader(last, workers=2))
    assert sorted(read) == sorted(f"c{number}" for number in range(COUNT))


def test_dtypes_names_and_transform(shards):
    options = {"image_dtype": torch.float32, "label_dtype": torch.int64, "names": {"label": "mask"}}
    plain = next(iter(stream(shards)))
    chip = next(iter(stream(shards, **options, transform=lambda chip: chip | {"sum": chip["image"].sum()})))
    assert (chip["image"].dtype, chip["mask"].dtype) == (torch.float32, torch.int64) and "label" not in chip
    assert torch.equal(chip["image"], plain["image"].to(torch.float32))
    assert torch.equal(chip["mask"], plain["label"].long()) and chip["sum"] == chip["image"].sum()
    with pytest.raises(InputError, match="names: a chip has no key 'labels'"):
        stream(shards, names={"labels": "mask"})


def test_collate_places_the_steps_of_time_series():
    from segchips import collate

    chips = [
        {"image": torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) + number, "identifier": "a"} for number in (0, 1)
    ]
    first, second, channels = (collate(chips, steps)["image"] for steps in ("first", "second", "channels"))
    assert first.shape == (2, 2, 3, 4, 5) and second.shape == (2, 3, 2, 4, 5) and channels.shape == (2, 6, 4, 5)
    assert torch.equal(second[1, 2, 0], first[1, 0, 2]) and torch.equal(channels[0, 4], first[0, 1, 1])


def _rank(rank, port, directory, queue):
    """Read two batches, go on from their state with a fresh stream, and train a model on all ranks meanwhile."""
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=4)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Conv2d(3, 2, 1))
    options = {"shuffle": True, "uneven": "pad", "image_dtype": torch.float32}
    first, read = stream(directory, **options), []
    for number, batch in enumerate(loader(first, workers=1, batch=2)):
        model(batch["image"]).mean().backward()
        read += names([batch])
        if number == 1:
            break
    again = stream(directory, **options)
    again.load_state_dict(first.state_dict(batches=2, batch_size=2))
    for batch in loader(again, workers=1, batch=2):
        model(batch["image"]).mean().backward()
        read += names([batch])
    queue.put(read)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_four_processes_of_torch_distributed(shards):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    processes = [context.Process(target=_rank, args=(rank, port, shards, queue)) for rank in range(4)]
    for process in processes:
        process.start()
    read = [queue.get() for _ in processes]
    for process in processes:
        process.join(60)
    assert {len(part) for part in read} == {6}
    assert {name for part in read for name in part} == {f"c{number}" for number in range(COUNT)}
