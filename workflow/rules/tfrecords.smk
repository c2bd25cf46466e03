# Needs: the image and label chips. Makes: the shards with their indices and pixel counts, and the files that describe them.


rule tfrecords:
    input:
        placing=placing,
        lock=scene_lock,
        label_lock=label_lock,
        images=planned(
            lambda wildcards: [
                chip
                for kind in STATE.image_kinds(wildcards.dataset)
                for chip in STATE.chips(wildcards.dataset, kind, shard_tiles(wildcards))
            ]
        ),
        labels=planned(lambda wildcards: STATE.chips(wildcards.dataset, "labels", shard_tiles(wildcards))),
    output:
        shard=update(of_shards("tfrecord")),
        index=update(of_shards("index") + ".csv"),
        tally=update(of_shards("statistics") + ".npz"),
    log:
        "logs/{dataset}/tfrecords/{split}-{shard}-of-{shards}.log",
    params:
        digest=planned(of_shard),
    run:
        shard = wildcards.split, int(wildcards.shard)
        if error := STATE.run("make_shard", wildcards.dataset, *shard, output.shard, output.index, log[0]):
            raise error


rule tfrecords_info:
    input:
        placing=placing,
        lock=scene_lock,
        label_lock=label_lock,
        indices=lambda wildcards: STATE.indices(wildcards.dataset),
        tallies=lambda wildcards: STATE.tallies(wildcards.dataset),
        image=planned(lambda wildcards: STATE.example(wildcards.dataset, "images")),
        label=planned(lambda wildcards: STATE.example(wildcards.dataset, "labels")),
    output:
        f"{RESULTS}/{{dataset}}/tfrecords/features.json",
        f"{RESULTS}/{{dataset}}/tfrecords/dataset_info.json",
        f"{RESULTS}/{{dataset}}/tfrecords/metadata.json",
        report(
            f"{RESULTS}/{{dataset}}/tfrecords/statistics.json",
            caption="../report/statistics.rst",
            category="{dataset}",
            labels={"result": "statistics"},
        ),
    log:
        "logs/{dataset}/tfrecords_info.log",
    params:
        digest=lambda wildcards: STATE.info_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_info", wildcards.dataset, list(input.indices), log[0]):
            raise error
