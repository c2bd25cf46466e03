# Needs: the image and label chips. Makes: the shards with their indices and pixel counts, and the files that describe them.


rule tfrecords:
    input:
        assignments=assignments,
        lock=scene_lock,
        label_lock=label_lock,
        images=shard_images,
        labels=shard_labels,
    output:
        shard=update(SHARD_FILES[0]),
        index=update(SHARD_FILES[1]),
        pixel_counts=update(SHARD_FILES[2]),
    log:
        f"{LOGS}/{{dataset}}/tfrecords/{{split}}-{{shard}}-of-{{shards}}.log",
    group:
        group_on_request("tfrecords")
    resources:
        runtime=doubling(20),
        mem_mb=doubling(1000),
    params:
        digest=digest_of("tfrecords", SHARD_FILES, shard_digest, label_lock, scene_lock, assignments),
    run:
        arguments = wildcards.split, wildcards.shard, output.shard, output.index
        if error := run_step(tfrecords.make_shard, wildcards, log, output, params, *arguments):
            raise error


rule tfrecords_info:
    input:
        assignments=assignments,
        lock=scene_lock,
        label_lock=label_lock,
        shards=lambda wildcards: DATASETS.shards(wildcards.dataset),
        indices=lambda wildcards: DATASETS.indices(wildcards.dataset),
        pixel_counts=lambda wildcards: DATASETS.pixel_counts(wildcards.dataset),
        images=example_chips(DATASETS.image_chips),
        labels=example_chips(DATASETS.label_chips),
    output:
        INFO_FILES[:3],
        report(
            INFO_FILES[3],
            caption="../report/statistics.rst",
            category="{dataset}",
            labels={"result": "statistics"},
        ),
    log:
        f"{LOGS}/{{dataset}}/tfrecords_info.log",
    localrule: True
    params:
        digest=digest_of("tfrecords_info", INFO_FILES, lambda wildcards: DIGESTS.dataset_info(wildcards.dataset)),
    run:
        if error := run_step(tfrecords.make_dataset_info, wildcards, log, output, params):
            raise error
