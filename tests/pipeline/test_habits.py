"""What Snakemake's users type, each line once on the sample."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.settings.types import StorageSettings

from segchips.errors import InputError
from segchips.pipeline.execution import check_storage
from support.projects import REPOSITORY, Project

RESULTS = "results/**/*"
slow = pytest.mark.slow


def line(text: str, quick: bool = False) -> object:
    """A line as typed after `snakemake`; only some run with every test."""
    return pytest.param(text, id=text, marks=() if quick else slow)


@pytest.fixture(scope="module")
def finished(sample_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished sample for lines that write no result."""
    return Project(Path(shutil.copytree(sample_run.folder, tmp_path_factory.mktemp("habits") / "finished")))


def without_write_permission() -> tuple[str, ...]:
    """What makes even root obey permissions; empty for other users."""
    if os.geteuid():
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv to change that")
    return "setpriv", "--bounding-set", "-dac_override,-dac_read_search"


LOOKS = [
    line("-n", quick=True),
    line("-n -q"),
    line("--summary", quick=True),
    line("--detailed-summary"),
    line("--list-rules"),
    line("--list-target-rules"),
    line("--dag"),
    line("--rulegraph"),
    line("--filegraph"),
    line("--d3dag"),
    line("--delete-all-output --dry-run"),
    line("--unlock"),
    line("--list-input-changes"),
    line("--report report.html"),
    line("--report report.zip"),
    line("--touch"),
    line("--until scenes"),
    line("--rerun-triggers mtime"),
    line("--rerun-triggers params input"),
    line("--rerun-triggers mtime params input code software-env"),
    line("--nolock"),
    line("--batch all=1/1"),
    line("--workflow-profile none"),
]


@pytest.mark.parametrize("typed", LOOKS)
def test_a_line_that_makes_nothing(sample_run: Project, finished: Project, typed: str) -> None:
    result = finished.run(*typed.split())
    assert result.returncode == 0, result.stdout
    assert "Traceback" not in result.stdout
    assert finished.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}


REPEATS = [
    "-F",
    "-R images",
    "--forcerun labels tfrecords",
    "-R images --until images",
    "-R images --omit-from report",
    "-R images --rerun-triggers params",
]


@slow
@pytest.mark.parametrize("typed", REPEATS)
def test_a_line_that_makes_results_again(sample_run: Project, project: Project, typed: str) -> None:
    if typed == "-F":
        (project.folder / "resources").rename(project.folder / "data")
        project.write(yaml.safe_load(yaml.safe_dump(project.config).replace("resources/sample", "data/sample")))
    before = project.file_bytes("results/*/images/*") | project.file_bytes("results/*/tfrecords/*.tfrecord-*")
    assert project.run_and_count(*typed.split())
    after = project.file_bytes("results/*/images/*") | project.file_bytes("results/*/tfrecords/*.tfrecord-*")
    assert before.keys() == after.keys()
    if typed != "-F":
        assert before == after and project.file_bytes(RESULTS).keys() == sample_run.file_bytes(RESULTS).keys()


FIRST_RUNS = [
    "--workflow-profile none",
    "--workflow-profile none --scheduler greedy --force-use-threads",
    "--scheduler ilp",
    "-p --verbose",
    "--benchmark-extended",
    "--notemp --keep-incomplete",
    "--set-threads images=2",
    "--set-resources images:mem_mb=10",
    "--resources mem_mb=100000",
    "--default-resources mem_mb=10",
    "--retries 2",
    "--groups images=one",
    "--shadow-prefix shadow",
    "--drop-metadata",
    "--persistence-backend db",
]


@slow
@pytest.mark.parametrize("typed", FIRST_RUNS)
def test_a_first_run(sample_run: Project, fresh: Project, typed: str) -> None:
    result = fresh.run(*typed.split())
    assert result.returncode == 0, result.stdout
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}


@slow
def test_a_single_chip_and_a_single_shard(sample_run: Project, fresh: Project) -> None:
    chip = next(iter(sample_run.file_bytes("results/*/images/*")))
    assert fresh.run_and_count(chip)["images"] == 1
    shard = next(iter(sample_run.file_bytes("results/*/tfrecords/*.tfrecord-*")))
    assert fresh.run_and_count(shard)["tfrecords"] == 1
    made = fresh.file_bytes("results/*/images/*") | fresh.file_bytes("results/*/tfrecords/*.tfrecord-*")
    assert made.items() <= sample_run.file_bytes(RESULTS).items()


REFUSED = [
    ("--touch", "--touch: there is no results/sample/scenes.parquet to mark as up to date; run without --touch first"),
    ("--until images", "--until images: its jobs are known once there is results/sample/scenes.parquet; make these"),
    ("--until labels -n", "--until labels: its jobs are known once there is results/sample/scenes.parquet; make these"),
    ("-n --config results=s3://bucket/chips", "results: 's3://bucket/chips' is a URL, and results are written to"),
    ("-n --shared-fs-usage none", "jobs without a shared file system (input-output, persistence, sources) are not"),
]


@pytest.mark.parametrize(
    ("typed", "reason"), [pytest.param(*row, id=row[0], marks=() if row[0][0:3] == "--t" else slow) for row in REFUSED]
)
def test_a_line_that_is_refused(fresh: Project, typed: str, reason: str) -> None:
    result = fresh.run(*typed.split())
    assert result.returncode == 1
    assert f"Error: {reason}" in result.stdout or f" {reason}" in result.stdout
    assert "Traceback" not in result.stdout
    assert not list(fresh.folder.glob("results/*/*")) and not (fresh.folder / "s3:").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (StorageSettings(default_storage_provider="s3"), "--default-storage-provider s3: not supported"),
        (StorageSettings(shared_fs_usage=frozenset()), "(input-output, persistence, sources) are not supported"),
    ],
)
def test_what_would_stage_files_is_refused(settings: StorageSettings, reason: str) -> None:
    """Snakemake asks for its storage plugins before it reads the workflow, so the settings are made here."""
    with pytest.raises(InputError, match=re.escape(reason)):
        check_storage(SimpleNamespace(storage_settings=settings))


@pytest.mark.parametrize("typed", [line("-n", quick=True), line("--report report.html")])
def test_results_that_cannot_be_written(finished: Project, typed: str) -> None:
    folders = [finished.folder / "results", *(finished.folder / "results").rglob("*")]
    command = [*without_write_permission(), sys.executable, "-m", "snakemake", "--cores", "1", "-s"]
    command += [str(REPOSITORY / "workflow" / "Snakefile"), "--configfile", "config.yaml", *typed.split()]
    for path in folders:
        path.chmod(0o555)
    try:
        result = subprocess.run(command, cwd=finished.folder, text=True, capture_output=True, check=False)
    finally:
        for path in folders:
            path.chmod(0o755)
    assert result.returncode == 0, result.stderr


def break_a_band(project: Project) -> None:
    for band in sorted(project.folder.glob("resources/sample/sample-l2a/*/*B04.tif"))[4:7]:
        band.write_bytes(band.read_bytes()[: band.stat().st_size // 2])


def test_a_band_that_fails_many_tiles_is_told_in_two_lines(fresh: Project) -> None:
    break_a_band(fresh)
    result = fresh.run("-q")
    assert result.returncode == 1
    told = [text for text in result.stdout.splitlines() if text.startswith("Error")]
    assert len(told) == 2 and "B04.tif: cannot be read" in told[0], result.stdout
    assert re.fullmatch(r"Error: tile \S+ and others fail for the same reason; see the ledger", told[1])
    assert len(result.stdout.splitlines()) < 12, result.stdout
    assert {row["state"] for row in fresh.ledger()} == {"failed"}


@slow
def test_a_run_without_the_profile_stops_at_the_first_failure(fresh: Project) -> None:
    break_a_band(fresh)
    result = fresh.run("--workflow-profile", "none", cores=1)
    assert result.returncode == 1
    failed = [path for path in (fresh.folder / "logs/sample/images").iterdir() if "cannot be read" in path.read_text()]
    assert 0 < len(failed) < 6, "jobs that had started may fail, too"


@slow
def test_quiet_runs_are_quiet(project: Project) -> None:
    project.change("defaults.imagery.composite", "median")
    lines = project.run("-q", "all").stdout.splitlines()
    assert len([text for text in lines if not text.startswith("Using workflow specific profile")]) <= 1, lines


@slow
def test_a_second_interrupt_ends_a_run_at_once(sample_run: Project, fresh: Project) -> None:
    run = fresh.start()
    while not (fresh.folder / "logs/sample/images").exists():
        assert run.poll() is None
        time.sleep(0.02)
    for _ in range(2):
        run.send_signal(signal.SIGINT)
        time.sleep(0.1)
    output = run.communicate()[0]
    assert run.returncode and "Traceback" not in output and "event loop" not in output, output
    assert fresh.run().returncode == 0
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}


@slow
def test_a_config_given_in_parts(sample_run: Project, fresh: Project) -> None:
    config = fresh.config
    (fresh.folder / "part.yaml").write_text(yaml.safe_dump({"datasets": config.pop("datasets")}))
    fresh.write(config)
    profile = fresh.folder / "mine"
    profile.mkdir()
    (profile / "config.yaml").write_text("configfile: [config.yaml, part.yaml]\nscheduler: greedy\n")
    snakefile = str(REPOSITORY / "workflow" / "Snakefile")
    command = [sys.executable, "-m", "snakemake", "-s", snakefile, "--profile", "mine", "--cores", "2"]
    command += ["--config", "requests=4"]
    result = subprocess.run(command, cwd=fresh.folder, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    shards = "results/*/tfrecords/*.tfrecord-*"
    assert fresh.file_bytes(shards) == sample_run.file_bytes(shards) != {}


@slow
def test_the_environment_does_not_matter(sample_run: Project, fresh: Project) -> None:
    fresh.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "Asia/Tokyo", "TMPDIR": "/nowhere"}
    fresh.environment |= {"PYTHONOPTIMIZE": "2", "PYTHONPATH": "/nowhere"}
    result = fresh.run()
    assert result.returncode == 0, result.stdout
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}


@slow
def test_generated_unit_tests_pass(fresh: Project) -> None:
    """With absolute paths and the chips that the report shows, as the documentation says."""
    for name in ("workflow", "profiles", "environment.yml"):
        (fresh.folder / name).symlink_to(REPOSITORY / name)
    data = (fresh.folder / "resources/sample").rename(fresh.folder / "data")
    config = yaml.safe_load(yaml.safe_dump(fresh.config).replace("resources/sample", str(data)))
    (fresh.folder / "config.yaml").unlink()
    (fresh.folder / "config").mkdir()
    (fresh.folder / "config/config.yaml").write_text(yaml.safe_dump(config))
    python = Path(sys.executable)
    environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    for arguments in ("snakemake --cores 2", "snakemake --cores 2 --generate-unit-tests", "pytest -q .tests/unit"):
        if arguments.startswith("pytest"):
            for chips in ("images", "labels"):
                target = fresh.folder / ".tests/unit/report/data/results/sample" / chips
                shutil.copytree(fresh.results() / chips, target)
        command = [python, "-m", *arguments.split()]
        result = subprocess.run(command, cwd=fresh.folder, env=environment, text=True, capture_output=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    assert "14 passed" in result.stdout, result.stdout


@slow
def test_the_profile_is_where_snakedeploy_looks() -> None:
    assert (REPOSITORY / "profiles").is_symlink()
    assert (REPOSITORY / "profiles/default/config.yaml").read_bytes()
