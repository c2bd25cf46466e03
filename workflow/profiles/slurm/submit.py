#!/usr/bin/env python3
"""Give a job script to SLURM with what its rules ask for; prints the job's id."""

import json
import subprocess
import sys
from pathlib import Path

LOGS = Path("logs/slurm")


def main() -> None:
    """Refuse at once what no node can ever run, then submit."""
    script = sys.argv[1]
    command = ["sbatch", *options(properties(script))]
    trial = subprocess.run([*command, "--test-only", script], text=True, capture_output=True)
    if trial.returncode:
        sys.exit(f"SLURM will not run {' '.join(command)}: {trial.stderr.strip()}")
    LOGS.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run([*command, "--parsable", script], text=True, stdout=subprocess.PIPE)
    print(answer.stdout.partition(";")[0].strip())
    sys.exit(answer.returncode)


def properties(script: str) -> dict[str, object]:
    """What Snakemake wrote into the job script about its job."""
    mark = "# properties = "
    with open(script, encoding="utf-8") as lines:
        return json.loads(next(line for line in lines if line.startswith(mark)).removeprefix(mark))


def options(job: dict) -> list[str]:
    """What sbatch is asked for; a job whose node fails waits for another."""
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
