"""What every script's job does: keep a log, and report bad input without a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from segchips.errors import SegchipsError


def failed(error: Exception) -> str:
    """The message that ends a run."""
    return f"Error: {error}"


@contextmanager
def reported(log: str) -> Iterator[TextIO]:
    """Run a script's body: what it prints goes to the log, bad input to the log and the terminal, without traceback."""
    with open(log, "w", encoding="utf-8") as stream:
        try:
            yield stream
        except SegchipsError as error:
            print(failed(error), file=stream)
            sys.exit(failed(error))
