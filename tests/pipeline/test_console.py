"""console.py: what a handler shows of failed jobs."""

import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from segchips.pipeline.console import ConsoleFilter


class Shown(logging.Handler):
    """A handler that keeps the messages that it shows."""

    def __init__(self, quiet: set[object] | None = None) -> None:
        super().__init__()
        self.messages: list[str] = []
        settings = SimpleNamespace(quiet=quiet, debug_dag=False, verbose=False, dryrun=False, printshellcmds=False)
        self.addFilter(ConsoleFilter(self, settings))

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def fail(handler: logging.Handler, message: str, kind: str = "SceneError") -> None:
    """The two records that Snakemake logs for a failed job."""
    text = f'RuleException:\n{kind} in file "images.smk", line 22:\n{message}\n  File "images.smk", line 22, in rule'
    for event, content in ((LogEvent.ERROR, text), (LogEvent.JOB_ERROR, "Error in rule images")):
        record = logging.LogRecord("snakemake", logging.ERROR, "", 0, content, None, None)
        record.event = event
        handler.handle(record)


def test_tiles_that_fail_for_one_reason_take_two_lines() -> None:
    shown = Shown()
    for tile in range(35):
        fail(shown, f"tile 60:2:10.0:33:1:{tile}: B04.tif: cannot be read")
    assert shown.messages == [
        "Error: tile 60:2:10.0:33:1:0: B04.tif: cannot be read",
        "Error: tile 60:2:10.0:33:1:1 and others fail for the same reason; see the ledger",
    ]


def test_shards_that_did_not_exist_before_are_not_missed() -> None:
    shown = Shown()
    for message in ("Cannot restore results/a/tfrecords/a-val.tfrecord-00000: no backup found.", "Cannot restore it"):
        shown.handle(logging.LogRecord("snakemake", logging.WARNING, "", 0, message, None, None))
    assert shown.messages == ["Cannot restore it"]


def test_many_reasons_end_in_one_line() -> None:
    shown = Shown()
    for tile in range(35):
        fail(shown, f"tile 60:2:10.0:33:1:{tile}: scene {tile} cannot be read")
    assert len(shown.messages) == 11
    assert shown.messages[-1] == "Error: further failures are in the ledger and in the logs"


def test_errors_that_nobody_foresaw_are_shown_in_full() -> None:
    shown = Shown()
    fail(shown, "a worker process died", "RuntimeError")
    assert "a worker process died" in shown.messages[0] and shown.messages[1] == "Error in rule images"


@pytest.mark.parametrize(("quiet", "lines"), [(set(), 2), ({"progress"}, 1), ({"all"}, 1)])
def test_quiet_leaves_errors(quiet: set[str], lines: int) -> None:
    from snakemake.settings.enums import Quietness

    shown = Shown({Quietness.parse_choice(choice) for choice in quiet})
    shown.handle(logging.LogRecord("snakemake", logging.INFO, "", 0, "Updating checkpoint dependencies.", None, None))
    shown.handle(logging.LogRecord("snakemake", logging.ERROR, "", 0, "the disk is full", None, None))
    assert len(shown.messages) == lines and shown.messages[-1] == "the disk is full"
