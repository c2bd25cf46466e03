"""Submits a job script to SLURM with the resources of its rules, and prints the job id."""

import json
import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

LOGS = Path("logs/slurm")


def main() -> None:
    """Submit the script; exit with the reason if SLURM refuses it."""
    script = Path(sys.argv[1])
    command = ["sbatch", *options(properties(script))]
    results = f"segchips {sha256(os.environ['SEGCHIPS_RESULTS'].encode()).hexdigest()[:16]}"
    run = f"{results} {script.parent.name}"
    cancel_orphans(results, run)
    LOGS.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run([*command, f"--comment={run}", "--parsable", script], text=True, capture_output=True)
    if answer.returncode:
        sys.exit(f"SLURM refuses {' '.join(command)}: {answer.stderr.strip()}")
    sys.stderr.write(answer.stderr)
    print(answer.stdout.partition(";")[0].strip())


def cancel_orphans(results: str, run: str) -> None:
    """Cancel the jobs that a killed run on the same results left behind, and wait until they have ended."""
    asked = ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%i %k"]
    while True:
        listed = subprocess.run(asked, text=True, stdout=subprocess.PIPE).stdout.splitlines()
        marks = dict(line.partition(" ")[::2] for line in listed)
        orphans = [job for job, mark in marks.items() if mark.startswith(results) and mark != run]
        if not orphans:
            return
        print(f"Cancelling SLURM jobs that a killed run left behind: {' '.join(orphans)}", file=sys.stderr)
        subprocess.run(["scancel", *orphans])
        time.sleep(2)


def properties(script: Path) -> dict[str, object]:
    """The job's properties, which Snakemake writes into the job script as JSON."""
    mark = "# properties = "
    with script.open(encoding="utf-8") as lines:
        return json.loads(next(line for line in lines if line.startswith(mark)).removeprefix(mark))


def options(job: dict) -> list[str]:
    """The options of sbatch; with --requeue, a job whose node fails is queued again."""
    resources = job["resources"]
    return [
        f"--job-name=segchips-{job.get('groupid') or job['rule']}",
        f"--output={LOGS}/%x-%j.log",
        f"--cpus-per-task={max(1, job['threads'])}",
        f"--mem={resources['mem_mb']}",
        f"--time={resources['runtime']}",
        "--requeue",
    ]


main()
