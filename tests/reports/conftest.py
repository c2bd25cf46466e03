"""A dataset's results and its report, made once."""

import pytest

from support.report_page import Page
from support.report_results import build_results, report_dataset, write_page


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "cropland"
    folder.mkdir()
    rows = build_results(folder)
    return folder, rows


@pytest.fixture(scope="session")
def page(results):
    folder, _ = results
    write_page(folder, report_dataset(), folder / "report" / "index.html")
    return Page((folder / "report" / "index.html").read_text(encoding="utf-8"))
