"""Rule `publish`: copies of finished datasets."""

import hashlib
from pathlib import Path

from support.projects import Project


def test_a_finished_dataset_is_published(project: Project, tmp_path: Path) -> None:
    refused = project.run("publish")
    assert refused.returncode == 1 and "Error: publish: the config does not say where to" in refused.stdout
    made = project.run_and_count("publish", "--config", f"publish={tmp_path / 'copies'}")
    assert made == {"publish": 1}, "the address is part of no digest"
    copy = tmp_path / "copies" / "sample"
    sums = dict(reversed(line.split("  ")) for line in (copy / "SHA256SUMS").read_text().splitlines())
    for name, value in sums.items():
        content = (copy / name).read_bytes()
        assert content == (project.results() / name).read_bytes() and hashlib.sha256(content).hexdigest() == value
    shards = list(project.results().glob("tfrecords/sample-*.tfrecord-*"))
    assert {f"tfrecords/{path.name}" for path in shards} <= sums.keys()
    assert {"README.md", "croissant.json", "ledger.csv", "tfrecords/dataset_info.json"} <= sums.keys()
    assert not (copy / "images").exists()
