"""TODO: describe."""


def log_warning(message: str) -> None:
    """Show the user a line among Snakemake's own."""
    from snakemake.logging import logger

    logger.warning(message)
