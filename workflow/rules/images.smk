# Needs: the scene lock. Makes: one image chip for each tile that has scenes and, if `imagery.provenance` is on, its provenance file.


rule images:
    input:
        scene_lock,
    output:
        f"{DATASET}/images/{{tile}}.tif",
    log:
        "logs/{dataset}/images/{tile}.log",
    wildcard_constraints:
        dataset=datasets_with_provenance(False),
    # A job that waits for a platform occupies no core; the config limits the number of such jobs.
    threads: lambda wildcards: 0 if DATASETS.uses_network(wildcards.dataset) else 1
    resources:
        requests=lambda wildcards: int(DATASETS.uses_network(wildcards.dataset)),
    params:
        digest=digest_of_chip("images", ["images"], DIGESTS.image, scene_lock),
    run:
        name, tile = wildcards.dataset, wildcards.tile
        run_job = RUNNER.run_on_network if DATASETS.uses_network(name) else RUNNER.run
        error = run_job(f"tile {chip_key(tile)}", log[0], images.make_image, name, tile, params.digest, *output)
        if error := stop_without_login(error):
            raise error


use rule images as provenance with:
    output:
        f"{DATASET}/images/{{tile}}.tif",
        f"{DATASET}/provenance/{{tile}}.tif",
    wildcard_constraints:
        dataset=datasets_with_provenance(True),
    params:
        digest=digest_of_chip("provenance", ["images", "provenance"], DIGESTS.provenance, scene_lock),
