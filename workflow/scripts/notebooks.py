import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.pipeline.scripts import reported

with reported(snakemake.log[0]) as log:
    source = Path(snakemake.input.notebook)
    notebook = nbformat.read(source, as_version=4)
    try:
        here = {"metadata": {"path": os.getcwd()}}
        local = Config(KernelManager={"transport": "ipc"})  # no ports that others could listen to
        NotebookClient(notebook, timeout=None, resources=here, config=local).execute()
    except CellExecutionError as error:
        print(error, file=log)
        raise InputError(
            f"{source.name}: a cell failed, {error.ename}: {error.evalue}; see {snakemake.log[0]}"
        ) from error
    page, _ = HTMLExporter().from_notebook_node(notebook)
    atomic_write(snakemake.output[0], page)
