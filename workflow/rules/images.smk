# Needs: the scene lock. Makes: one image chip for each tile that has scenes, in each layer, and its provenance file if `imagery.provenance` is on.


rule images:
    input:
        scene_lock,
    output:
        f"{DATASET}/images/{{layer}}{{tile}}.tif",
    log:
        f"{LOGS}/{{dataset}}/images/{{layer}}{{tile}}.log",
    wildcard_constraints:
        dataset=layers_where(lambda layer: not layer.provenance and not layer.is_series),
    # On a cluster, a job makes as many chips as `group-components` says. In a group, jobs that run in parallel add up their
    # memory (megabytes), and jobs that run in sequence their time (minutes).
    group:
        group_on_request("images")
    # A job that waits for a network occupies no core; the config limits the number of such jobs.
    threads: image_threads
    resources:
        requests=image_requests,
        runtime=doubling(2),
        mem_mb=doubling(1000),
    params:
        digest=digest_of_chip("images", ["images"], DIGESTS.image, scene_lock),
    run:
        arguments = part_of(wildcards), wildcards.tile, params.digest, *output
        if error := run_step(images.make_image, wildcards, log, output, params, *arguments):
            raise error


use rule images as provenance with:
    output:
        f"{DATASET}/images/{{layer}}{{tile}}.tif",
        f"{DATASET}/provenance/{{layer}}{{tile}}.tif",
    wildcard_constraints:
        dataset=layers_where(lambda layer: layer.provenance),
    params:
        digest=digest_of_chip("provenance", ["images", "provenance"], DIGESTS.provenance, scene_lock),


# A chip of a time series takes over the steps that are still the same.
use rule images as series with:
    output:
        update(f"{DATASET}/images/{{layer}}{{tile}}.tif"),
    wildcard_constraints:
        dataset=layers_where(lambda layer: layer.is_series and not layer.provenance),
