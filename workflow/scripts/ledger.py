from pathlib import Path

from segchips.images import Plan
from segchips.job import dataset_of, reported
from segchips.ledger import finished, summary, write_ledger
from segchips.scenes import read_lock
from segchips.tiles import read_manifest

with reported(snakemake.log[0]) as log:
    plan = Plan(dataset_of(snakemake), read_lock(Path(snakemake.input.lock)))
    rows = finished(
        read_manifest(Path(snakemake.input.manifest)), plan, [Path(path) for path in snakemake.input.indices]
    )
    write_ledger(Path(snakemake.output[0]), rows)
    print(summary(rows), file=log)
