# Needs: nothing. Makes: the synthetic landscape that the default config uses: catalogue, area of interest and labels.


rule sample:
    output:
        catalog="resources/sample/catalog.json",
        aoi="resources/sample/aoi.gpkg",
        labels="resources/sample/labels.gpkg",
    log:
        "logs/sample.log",
    conda:
        "../../environment.yml"
    params:
        version=script_version("sample"),
    script:
        "../scripts/sample.py"
