# Needs: the ledger and the statistics. Makes: the dataset card, Croissant, the STAC collection, and the ArcGIS files beside the chips.


rule descriptors:
    input:
        ledger=f"{DATASET}/ledger.csv",
        statistics=f"{DATASET}/tfrecords/statistics.json",
    output:
        DESCRIPTOR_FILES,
    log:
        f"{LOGS}/{{dataset}}/descriptors.log",
    params:
        digest=digest_of("descriptors", DESCRIPTOR_FILES, lambda wildcards: DIGESTS.descriptors(wildcards.dataset)),
    run:
        if error := run_step(descriptors.make_descriptors, wildcards, log, output, params):
            raise error
