#!/bin/sh
# Tells Snakemake what became of a SLURM job: success, failed or running. A job that can never start is cancelled.
job=$(scontrol --oneliner show job "$1" 2>&1)
field() { printf '%s' "$job" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"; }
state=$(field JobState)
case $job in
*"Invalid job id"*)
  state=$(sacct --allocations --noheader --parsable2 --format=State --jobs="$1" 2>/dev/null)
  state=${state:-FORGOTTEN}
  ;;
esac
case $state:$(field Reason) in
COMPLETED:*) echo success ;;
PENDING:BadConstraints | PENDING:PartitionConfig | PENDING:Partition*Limit | PENDING:*PerJob*)
  echo "SLURM job $1 asks for what it can never get ($(field Reason)): change the resources in workflow/profiles/slurm/config.yaml" >&2
  scancel "$1"
  echo failed
  ;;
BOOT_FAIL:* | CANCELLED* | DEADLINE:* | FAILED:* | FORGOTTEN:* | NODE_FAIL:* | OUT_OF_MEMORY:* | TIMEOUT:*) echo failed ;;
*) echo running ;;
esac
