# Needs: the scene lock. Makes: one image chip for each tile that has scenes and, if `imagery.provenance` is on, its provenance file.


rule images:
    input:
        scene_lock,
    output:
        f"{RESULTS}/{{dataset}}/images/{{tile}}.tif",
    log:
        "logs/{dataset}/images/{tile}.log",
    wildcard_constraints:
        dataset=STATE.traced(False),
    # A job that waits for a platform occupies no core; the config limits the number of such jobs.
    threads: lambda wildcards: 0 if STATE.asks(wildcards.dataset) else 1
    resources:
        requests=lambda wildcards: int(STATE.asks(wildcards.dataset)),
    params:
        digest=of_chip("images", scene_lock, STATE.image_digest),
    run:
        if error := STATE.run("make_image", wildcards.dataset, wildcards.tile, log[0], *output):
            stop_without_login(error)
            raise error


use rule images as provenance with:
    output:
        f"{RESULTS}/{{dataset}}/images/{{tile}}.tif",
        f"{RESULTS}/{{dataset}}/provenance/{{tile}}.tif",
    wildcard_constraints:
        dataset=STATE.traced(True),
    params:
        digest=of_chip("images", scene_lock, STATE.provenance_digest),
