"""`segchips doctor` finds what is wrong with an installation, and never shows a secret."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from segchips.cli import main
from segchips.commands import machine_checks, software_checks
from segchips.commands.doctor import examine, summary

SECRET = "s3cr3t-of-mine"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty home without credentials and SLURM."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in [name for name in os.environ if name.startswith(("AWS_", "SBATCH_", "GDAL_", "PROJ_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    return tmp_path


def found(state, subject):
    return [finding.text for finding in examine(Path()) if (finding.state, finding.subject) == (state, subject)]


def test_a_sound_installation_has_nothing_to_mend(capsys):
    main(["doctor"])
    said = capsys.readouterr().out
    assert said.endswith(" to know\n") and "\nnothing to mend, " in said
    for subject in ("Python", "packages", "GDAL", "formats", "PROJ", "credentials", "machine", "disk", "SLURM"):
        assert f"ok    {subject} " in said


def test_something_to_mend_is_the_exit_code(monkeypatch, capsys):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRET)
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    said = capsys.readouterr().out
    assert (
        end.value.code == 1 and "fail  credentials" in said and said.rstrip().splitlines()[-1].startswith("1 to mend")
    )


@pytest.mark.parametrize(
    ("environment", "state", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": SECRET}, "fail", "AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": SECRET}, "fail", "names a file that does not exist"),
        ({"SEGCHIPS_STAC_HEADERS": SECRET}, "fail", "has no colon; write Name: value"),
        ({"AWS_NO_SIGN_REQUEST": "YES"}, "note", "private buckets cannot be read"),
        ({"AWS_ACCESS_KEY_ID": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET}, "note", "AWS_REQUEST_PAYER=requester"),
        ({"EARTHONE_TOKEN": SECRET}, "ok", "set: EarthOne"),
        ({"GDAL_HTTP_HEADERS": f"Authorization: {SECRET}"}, "ok", "HTTP headers"),
    ],
)
def test_credentials_are_named_and_not_shown(monkeypatch, environment, state, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert any(words in text for text in found(state, "credentials"))
    assert SECRET not in summary(examine(Path()))


def test_a_file_of_credentials_that_others_can_read_is_said(here):
    (here / ".netrc").write_text(f"machine urs.earthdata.nasa.gov login me password {SECRET}\n")
    (here / ".netrc").chmod(0o644)
    (text,) = found("note", "credentials")
    assert "chmod 600" in text and any("NASA Earthdata" in text for text in found("ok", "credentials"))


def test_a_package_that_is_missing_or_too_old_is_named(monkeypatch):
    versions = {"obstore": "0.1", "rustac": None}
    version = metadata.version

    def installed(name):
        if name in versions and versions[name] is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or version(name)

    monkeypatch.setattr(software_checks.metadata, "version", installed)
    (text,) = found("fail", "packages")
    assert "obstore 0.1 is not >=0.8" in text and "rustac is missing" in text and "pip install" in text


def test_data_of_another_proj_is_said(tmp_path):
    """PROJ reads its variables once, so that it takes a process of its own."""
    command = [sys.executable, "-m", "segchips", "doctor"]
    environment = {**os.environ, "PROJ_DATA": str(tmp_path), "PROJ_LIB": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "PROJ_LIB and PROJ_DATA" in done.stdout and "Traceback" not in done.stderr + done.stdout


def program(here, name, text):
    path = here / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("answer", "partition", "state", "words"),
    [
        ("echo 'main* up'; echo 'gpu down'", None, "ok", "partition by default; up: main"),
        ("echo 'main up'; echo 'gpu up'", None, "fail", "export SBATCH_PARTITION, one of main, gpu"),
        ("echo 'main* up'", "long", "fail", "'long', which is no partition; choose one of main"),
        ("echo 'main* up'", "main", "ok", "partition main"),
        ("exit 1", None, "fail", "sinfo does not answer"),
    ],
)
def test_slurm_is_asked_for_its_partitions(here, monkeypatch, answer, partition, state, words):
    program(here, "sbatch", "exit 0")
    program(here, "sinfo", answer)
    if partition:
        monkeypatch.setenv("SBATCH_PARTITION", partition)
    assert any(words in text for text in found(state, "SLURM"))


@pytest.mark.parametrize(("answer", "noted"), [("echo 'accounting is disabled' >&2; exit 1", True), ("exit 0", False)])
def test_a_cluster_without_accounting_is_said(here, answer, noted):
    program(here, "sbatch", "exit 0")
    program(here, "sinfo", "echo 'main* up'")
    program(here, "sacct", answer)
    has_plugin = any(each.name == "snakemake-executor-plugin-slurm" for each in metadata.distributions())
    assert any("slurm-status-command: squeue" in text for text in found("note", "SLURM")) == (noted and has_plugin)


def test_a_disk_that_is_full_or_closed_is_said(monkeypatch, here):
    monkeypatch.setattr(machine_checks, "_LOW_DISK", 1e9)
    assert any("name another folder with results:" in text for text in found("note", "disk"))


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken(*_):
        raise RuntimeError("libgdal.so: cannot open")

    monkeypatch.setattr(software_checks.tempfile, "TemporaryDirectory", broken)
    (text,) = found("fail", "GDAL")
    assert "cannot be checked (libgdal.so: cannot open); install again" in text
