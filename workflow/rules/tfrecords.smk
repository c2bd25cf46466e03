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
        "logs/{dataset}/tfrecords/{split}-{shard}-of-{shards}.log",
    params:
        digest=digest_of("tfrecords", SHARD_FILES, shard_digest, label_lock, scene_lock, assignments),
    run:
        name, split, shard = wildcards.dataset, wildcards.split, int(wildcards.shard)
        job, recipe = Path(output.shard).name, DIGESTS.record_recipe(name, split)
        files = output.shard, output.index
        error = RUNNER.run(job, log[0], tfrecords.make_shard, name, split, shard, recipe, *files)
        if error := finish(error, output, params.digest):
            raise error


rule tfrecords_info:
    input:
        assignments=assignments,
        lock=scene_lock,
        label_lock=label_lock,
        indices=lambda wildcards: DATASETS.indices(wildcards.dataset),
        pixel_counts=lambda wildcards: DATASETS.pixel_counts(wildcards.dataset),
        image=example_chip("images"),
        label=example_chip("labels"),
    output:
        INFO_FILES[:3],
        report(
            INFO_FILES[3],
            caption="../report/statistics.rst",
            category="{dataset}",
            labels={"result": "statistics"},
        ),
    log:
        "logs/{dataset}/tfrecords_info.log",
    params:
        digest=digest_of("tfrecords_info", INFO_FILES, lambda wildcards: DIGESTS.dataset_info(wildcards.dataset)),
    run:
        name = wildcards.dataset
        error = RUNNER.run(f"dataset {name}", log[0], tfrecords.make_dataset_info, name)
        if error := finish(error, output, params.digest):
            raise error
