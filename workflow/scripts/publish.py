from pathlib import Path

from segchips.errors import InputError
from segchips.pipeline.scripts import reported
from segchips.publishing.publication import publish

with reported(snakemake.log[0]) as log:
    if snakemake.params.address is None:
        raise InputError("publish: the config does not say where to; set publish to a folder or s3://bucket/path")
    for folder in snakemake.params.folders:
        for line in publish(Path(folder), snakemake.params.address):
            print(line)
            print(line, file=log)
