# Needs: the sample dataset. Makes: the tutorial notebooks, executed and rendered as HTML.

NOTEBOOKS = {
    name: workflow.source_path(f"../notebooks/{name}.ipynb")
    for name in ("1_creating_training_data", "2_translating_to_tfrecords", "3_parsing_tfrecords")
}


# Runs only if requested: `snakemake notebooks`.
rule notebooks:
    input:
        expand(f"{RESULTS}/notebooks/{{notebook}}.html", notebook=NOTEBOOKS),
    localrule: True


rule notebook:
    input:
        notebook=lambda wildcards: NOTEBOOKS[wildcards.notebook],
        dataset=sample_report,
    output:
        report(f"{RESULTS}/notebooks/{{notebook}}.html", caption="../report/notebook.rst", category="notebooks"),
    log:
        f"{LOGS}/notebooks/{{notebook}}.log",
    wildcard_constraints:
        notebook="|".join(NOTEBOOKS),
    conda:
        "../../environment.yml"
    # One notebook at a time, because they measure speed.
    threads: CORES
    script:
        "../scripts/notebooks.py"
