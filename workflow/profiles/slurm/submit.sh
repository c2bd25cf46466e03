#!/bin/sh
# Submits a job script with the Python that runs Snakemake, not that of the PATH.
exec "$SEGCHIPS_PYTHON" "$(dirname "$0")/submit.py" "$@"
