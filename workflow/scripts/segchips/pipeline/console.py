"""What the terminal shows: a line for each reason for which tiles fail, and no more than `--quiet` asks for."""

import logging
import re
from collections import Counter
from typing import Any

from snakemake.logging import DefaultFilter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from segchips import errors

_JOB_ERROR = re.compile(r'RuleException:\n(\w+) in file "[^"]*", line \d+:\n(.*?)(?:\n  File .*)?', re.DOTALL)
_NOTHING_TO_RESTORE = re.compile("Cannot restore .*: no backup found[.]")
"""Snakemake warns so for each shard of a failed job that did not exist before, which is no loss."""
_OURS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
_REASONS = 10
"""Reasons that are shown; the logs and the ledger have all."""


class ConsoleFilter(logging.Filter):
    """Shortens what a handler shows of failed jobs, whose errors say all that there is to say in one line.

    Args:
        handler: The handler that shows records on the terminal.
        settings: Snakemake's settings of the output.
    """

    def __init__(self, handler: logging.Handler, settings: Any) -> None:
        super().__init__()
        self._handler, self._quiet = handler, set(settings.quiet or ())
        choices = settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds
        self._asked_for = DefaultFilter(self._quiet, *choices)
        self._reasons: Counter[str] = Counter()
        self._explained = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; an error of a job is shown in another form."""
        if getattr(record, "is_short", False):
            return True
        if _NOTHING_TO_RESTORE.fullmatch(record.getMessage()):
            return False
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_ERROR and self._explained:
            self._explained -= 1
            return False
        if error := event == LogEvent.ERROR and _JOB_ERROR.fullmatch(record.getMessage()):
            kind, message = error.groups()
            if kind in _OURS:
                self._explained += 1
                self._show(message.strip())
                return False
        return self._is_asked_for(record, event)

    def _is_asked_for(self, record: logging.LogRecord, event: object) -> bool:
        if not self._quiet:
            return True
        if event == LogEvent.ERROR:
            return True
        if event is None and record.levelno > logging.INFO:
            return record.levelno >= logging.ERROR or Quietness.ALL not in self._quiet
        if event is None and Quietness.PROGRESS in self._quiet:
            return False
        return bool(self._asked_for.filter(record))

    def _show(self, message: str) -> None:
        if line := self._line(message):
            short = logging.LogRecord("snakemake", logging.ERROR, "", 0, f"Error: {line}", None, None)
            short.is_short = True
            self._handler.handle(short)

    def _line(self, message: str) -> str | None:
        """The line for a failed job: of each reason, one for its first tile and one for its second."""
        subject, _, reason = message.partition(": ") if message.startswith("tile ") else (message, "", message)
        self._reasons[reason] += 1
        times, reasons = self._reasons[reason], len(self._reasons)
        if reasons > _REASONS:
            return (
                "further failures are in the ledger and in the logs" if times == 1 and reasons == _REASONS + 1 else None
            )
        if times == 1:
            return message
        return f"{subject} and others fail for the same reason; see the ledger" if times == 2 else None


def shorten_console(manager: Any, logger: logging.Logger) -> None:
    """Add a filter to every handler of Snakemake that shows records on the terminal.

    Args:
        manager: Snakemake's manager of loggers.
        logger: Snakemake's logger.
    """
    streams = [handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]
    shown = [handler for handler in streams if not isinstance(handler, logging.FileHandler)]
    for handler in [*shown, *manager.plugin_handlers]:
        if not any(isinstance(each, ConsoleFilter) for each in handler.filters):
            handler.addFilter(ConsoleFilter(handler, manager.settings))
