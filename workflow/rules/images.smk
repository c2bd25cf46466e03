# Needs: the scene lock. Makes: one image chip for each tile that has scenes.


rule images:
    input:
        scene_lock,
    output:
        f"{RESULTS}/{{dataset}}/images/{{tile}}.tif",
    log:
        "logs/{dataset}/images/{tile}.log",
    params:
        digest=of_chip("images", scene_lock, STATE.image_digest),
    run:
        if error := STATE.run("make_image", wildcards.dataset, wildcards.tile, output[0], log[0]):
            raise error
