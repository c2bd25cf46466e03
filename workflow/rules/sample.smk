# Needs: nothing. Makes: the synthetic landscape that the default config uses: catalogue, area of interest and labels.


# Modules of one workflow share the sample.
if not any("resources/sample/catalog.json" in rule.output for rule in workflow.rules):

    rule sample:
        output:
            catalog="resources/sample/catalog.json",
            aoi="resources/sample/aoi.gpkg",
            labels="resources/sample/labels.gpkg",
        log:
            f"{LOGS}/sample.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            version=script_version("sample"),
        script:
            "../scripts/sample.py"
