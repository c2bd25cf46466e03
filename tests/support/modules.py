"""Workflows that have this one as a module."""

from pathlib import Path

import yaml

from support.projects import REPOSITORY, Project

MODULE = """
module {name}:
    snakefile: "{snakefile}"
    config: config["chips"]{prefix}


use rule * from {name} as {name}_*
"""
SNAKEFILE = """
configfile: "config.yaml"

{modules}

rule size:
    default_target: True
    input:
        {inputs},
    output:
        "size.txt",
    shell:
        "cat {{input}} | wc -l > {{output}}"
"""


def outer_workflow(project: Project, **prefixes: str) -> None:
    """Make the project one whose workflow has modules of these names, moved by their prefixes."""
    modules = [
        MODULE.format(
            name=name,
            snakefile=REPOSITORY / "workflow" / "Snakefile",
            prefix=f'\n    prefix: "{prefix}"' if prefix else "",
        )
        for name, prefix in prefixes.items()
    ]
    ledgers = [str(Path(prefix) / "results/sample/ledger.csv") for prefix in prefixes.values()]
    outer = project.folder / "workflow"
    outer.mkdir()
    (outer / "Snakefile").write_text(
        SNAKEFILE.format(modules="\n".join(modules), inputs=", ".join(f'"{ledger}"' for ledger in ledgers))
    )
    (project.folder / "config.yaml").write_text(yaml.safe_dump({"chips": project.config, "other": 1}, sort_keys=False))
    project.workflow = outer
