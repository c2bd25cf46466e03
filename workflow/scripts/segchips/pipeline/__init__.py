"""Everything that knows Snakemake."""
