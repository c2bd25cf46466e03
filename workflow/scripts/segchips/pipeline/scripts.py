"""What the workflow's scripts share: a log, and messages without a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from segchips.errors import SegchipsError, final_message


@contextmanager
def reported(log: str) -> Iterator[TextIO]:
    """Open a script's log; an error in the block goes to the log and, without a traceback, to the terminal."""
    with open(log, "w", encoding="utf-8") as stream:
        try:
            yield stream
        except SegchipsError as error:
            print(final_message(error), file=stream)
            sys.exit(final_message(error))
