"""A config that is named takes the place of the shipped one."""

import pytest

from support.projects import Project


@pytest.mark.slow
def test_a_named_config_is_not_mixed_with_the_shipped_one(fresh: Project) -> None:
    shipped = fresh.folder / "config" / "config.yaml"
    shipped.parent.mkdir()
    shipped.write_text((fresh.folder / "config.yaml").read_text())
    fresh.write({**fresh.config, "datasets": {"mine": {}}})
    assert fresh.run("--dry-run", "results/mine/tiles.parquet").returncode == 0
    assert fresh.run("--dry-run", "results/sample/tiles.parquet").returncode == 1
