# Needs: the ledger and the statistics. Makes: the dataset card, Croissant, the STAC collection, and the ArcGIS files beside the chips.


rule descriptors:
    input:
        ledger=f"{RESULTS}/{{dataset}}/ledger.csv",
        statistics=f"{RESULTS}/{{dataset}}/tfrecords/statistics.json",
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/",
            "README.md",
            "croissant.json",
            "map.txt",
            "stats.txt",
            "esri_model_definition.emd",
            "esri_accumulated_stats.json",
        ),
        f"{RESULTS}/{{dataset}}/stac/collection.json",
    log:
        "logs/{dataset}/descriptors.log",
    params:
        digest=lambda wildcards: STATE.descriptors_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_descriptors", wildcards.dataset, log[0]):
            raise error
