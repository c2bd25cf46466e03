# Needs: the ledger and the statistics. Makes: the dataset card, Croissant, the STAC collection, and the ArcGIS files beside the chips.


rule descriptors:
    input:
        ledger=f"{DATASET}/ledger.csv",
        description=INFO_FILES[1:],
        indices=lambda wildcards: DATASETS.indices(wildcards.dataset),
        images=example_chips(DATASETS.image_chips),
        legends=outside(sources.legend_sources),
    output:
        DESCRIPTOR_FILES,
    log:
        f"{LOGS}/{{dataset}}/descriptors.log",
    params:
        digest=digest_of("descriptors", DESCRIPTOR_FILES, lambda wildcards: DIGESTS.descriptors(wildcards.dataset)),
    run:
        if error := run_step(descriptors.make_descriptors, wildcards, log, output, params):
            raise error
